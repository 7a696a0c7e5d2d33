"""What preparing makes of videos, and says of them."""

import hashlib
import pathlib

import numpy as np
import pytest

from hdc_jax.data import sources
from hdc_jax.data.datasets import synthetic
from hdc_jax.data.store.index import Index
from hdc_jax.data.video.codec import Window
from hdc_jax.data.video.originals import Original
from hdc_jax.errors import ConfigError, DataError
from hdc_jax.prepare import command as prepare
from hdc_jax.runtime.workers import Workers
from tests import layouts
from tests.prepare.preparing import VIDEOS, contents, run


def test_a_folder_becomes_a_dataset(prepared):
  source = sources.open(prepared)
  assert [video.id for video in source] == [
    *(f"run/{i}.mp4" for i in range(4, 8)),
    *(f"walk/{i}.mp4" for i in range(4)),
  ]
  assert [video.num_frames for video in source] == [
    *range(14, 18),
    *range(10, 14),
  ]
  assert [video.label("class", 0) for video in source] == [0] * 4 + [1] * 4
  assert source.index.labels == {"class": ["run", "walk"]}
  assert source.index.num_frames == sum(video.num_frames for video in source)
  assert [shard.videos for shard in source.index.shards] == [2] * 4
  np.testing.assert_array_equal(source.index.split("train"), range(VIDEOS))
  for shard in source.index.shards:
    data = (prepared / shard.name).read_bytes()
    assert hashlib.sha256(data).hexdigest() == shard.sha256
  frames = source[0].read([0, 13], Window(0, 0, 32, 42))
  assert frames.y.shape == (2, 32, 42)


def test_nothing_hidden_is_left_behind(prepared):
  assert not list(prepared.glob(".*"))


def test_the_number_of_workers_does_not_matter(folder, prepared, tmp_path):
  assert run(folder, tmp_path, "--workers=1") == 0
  assert contents(tmp_path) == contents(prepared)


def test_the_summary_counts(folder, tmp_path, capsys):
  assert run(folder, tmp_path) == 0
  out = capsys.readouterr().out
  size = sum(path.stat().st_size for path in tmp_path.glob("*.array_record"))
  assert f"8 videos, 108 frames, {size:,} bytes ({size / 108:,.0f} a" in out
  assert "split train: 8 videos" in out
  assert "label class: 2 classes" in out
  assert "run 4, walk 4" in out


@pytest.mark.slow
def test_stopped_while_generating_it_is_no_folder_of_videos(
  tmp_path, write_video, monkeypatch
):
  args = ["--dataset=synthetic", f"--output={tmp_path}", "--videos=5"]

  class Stopped(Workers):
    def map(self, arguments):
      write_video(pathlib.Path(next(iter(arguments))[-1]), frames=4)
      raise KeyboardInterrupt

  with monkeypatch.context() as patch:
    patch.setattr(synthetic, "Workers", Stopped)
    assert prepare.main(args) == 130
  assert list(tmp_path.rglob("*.mp4"))
  with pytest.raises(DataError, match=r"no index\.json.*interrupted"):
    sources.open(tmp_path)
  assert prepare.main([*args, "--short_side=32", "--workers=1"]) == 0
  assert not list(tmp_path.glob(".*"))


@pytest.mark.slow
def test_synthetic_videos(tmp_path, capsys):
  args = ["--dataset=synthetic", f"--output={tmp_path}", "--workers=2"]
  args += ["--videos=5", "--short_side=32"]
  assert prepare.main(args) == 0
  source = sources.open(tmp_path)
  np.testing.assert_array_equal(source.index.split("train"), range(4))
  np.testing.assert_array_equal(source.index.split("test"), [4])
  assert {"motion", "scene"} == set(source.index.labels)
  assert len(source.index.labels["motion"]) == 8
  for video in source:
    assert 0 <= video.label("scene", video.num_frames - 1) < 8
  before = contents(tmp_path)
  assert prepare.main([*args, "--seed=1"]) == 0
  assert contents(tmp_path)["index.json"] != before["index.json"]


def run_published(dataset, made, output):
  """Prepares a dataset that `layouts` has made."""
  return prepare.main(
    [
      f"--dataset={dataset}",
      f"--source={made.source}",
      f"--splits={made.splits}",
      f"--output={output}",
      "--short_side=40",
      "--shards=2",
      "--workers=2",
    ]
  )


@pytest.mark.slow
@pytest.mark.parametrize("dataset", ["ucf101", "hmdb51"])
def test_splits_of_avi_files(tmp_path, dataset):
  """Every split holds the videos it should, with their frames and classes."""
  made = getattr(layouts, dataset)(tmp_path)
  assert run_published(dataset, made, tmp_path / "out") == 0
  source = sources.open(tmp_path / "out")
  assert not source.index.skipped
  assert [video.num_frames for video in source] == [12] * len(source)
  names = source.index.labels["class"]
  for video in source:
    assert names[video.label("class", 0)] == video.id.split("/")[0]
  for fold in layouts.FOLDS:
    train, test = (
      {source[i].id for i in source.index.split(f"{part}{fold}")}
      for part in ("train", "test")
    )
    assert not train & test
    if dataset == "ucf101":
      assert len(train) == 18
      assert all(f"_g0{fold}_" in id for id in test)
    else:
      unused = sum(uses[fold - 1] == 0 for uses in layouts.HMDB51_USES)
      assert len(train | test) == len(source) - 3 * unused
  with pytest.raises(ConfigError, match=r"'train' .* test1, test2, test3, tra"):
    source.index.split("train")


def test_real_avi_files(clips, tmp_path):
  """Two files of UCF101, as they are published."""
  made = layouts.ucf101(tmp_path, classes=("ApplyEyeMakeup", "BaseballPitch"))
  for label in ("ApplyEyeMakeup", "BaseballPitch"):
    name = f"v_{label}_g01_c01.avi"
    (made.source / label / name).unlink()
    (made.source / label / name).symlink_to(clips / name)
  assert run_published("ucf101", made, tmp_path / "out") == 0
  source = sources.open(tmp_path / "out")
  real = [source[i] for i in source.index.split("test1")][::2]
  assert [video.id for video in real] == [
    "ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi",
    "BaseballPitch/v_BaseballPitch_g01_c01.avi",
  ]
  for video in real:
    original = str(made.source / video.id)
    assert video.num_frames == Original(original, 40).probe().num_frames > 60


def test_the_summary_holds_the_result_against_the_official_numbers(
  tmp_path, capsys
):
  made = layouts.ucf101(tmp_path)
  bad = made.source / "Basketball" / "v_Basketball_g01_c01.avi"
  bad.write_bytes(b"not a video")
  assert run_published("ucf101", made, tmp_path / "out") == 0
  out = capsys.readouterr().out
  assert "23 videos (official: 13,320), 276 frames" in out
  assert "split train1: 18 videos (official: 9,537)" in out
  assert "split test1: 5 videos (official: 3,783)" in out
  assert "label class: 3 classes (official: 101)" in out
  assert "missing" not in out
  official = sources.open(tmp_path / "out").index.official
  assert official["train1"] == 9537
  assert official["classes"] == 101


@pytest.mark.slow
def test_what_is_missing_is_counted_and_listed(tmp_path, capsys):
  made, output = layouts.kinetics(tmp_path), tmp_path / "out"
  gone = made.source / "val/abseiling/-_0_0003_1__000027_000037.mp4"
  gone.rename(tmp_path / gone.name)
  (made.source / "train" / "more.mp4").touch()
  assert run_published("kinetics400", made, output) == 0
  out = capsys.readouterr().out
  assert "split val: 2 videos (official: 19,906)" in out
  assert f"missing: 1 videos, see {output}/missing.txt" in out
  assert f"unlisted: 1 videos, see {output}/unlisted.txt" in out
  assert (output / "missing.txt").read_text() == f"{gone.stem}\n"
  assert (output / "unlisted.txt").read_text() == "train/more.mp4\n"
  index = Index.load(output)
  assert index.left_out == {"missing": 1, "unlisted": 1}
  test = [sources.open(output)[i] for i in index.split("test")]
  assert [video.labels for video in test] == [{}] * 3

  # Later some of it is found, and something else is gone.
  (tmp_path / gone.name).rename(gone)
  assert run_published("kinetics400", made, output) == 0
  assert (output / "missing.txt").read_text() == ""
  assert len(Index.load(output).split("val")) == 3
  (made.source / "train" / "more.mp4").unlink()
  assert run_published("kinetics400", made, output) == 0
  assert Index.load(output).left_out == {"missing": 0, "unlisted": 0}
  capsys.readouterr()
  assert run_published("kinetics400", made, output) == 0
  assert "already prepared" in capsys.readouterr().out


def test_a_split_without_videos_is_in_the_summary(tmp_path, capsys):
  made = layouts.kinetics(tmp_path)
  (made.splits / "test.csv").unlink()
  assert run_published("kinetics400", made, tmp_path / "out") == 0
  assert "split test: 0 videos (official: 39,805)" in capsys.readouterr().out
