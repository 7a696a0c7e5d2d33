"""Preparing a dataset: all of it, whatever happens on the way."""

import hashlib
import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from hdc_jax.data import sources
from hdc_jax.data.datasets import DATASETS, VideoFile, synthetic
from hdc_jax.data.store import index as index_lib
from hdc_jax.data.store.index import Index
from hdc_jax.data.video import h264
from hdc_jax.data.video.frames import Window
from hdc_jax.data.video.originals import Original
from hdc_jax.errors import ConfigError, DataError
from hdc_jax.prepare import command as prepare
from hdc_jax.prepare.runners import local, videos
from hdc_jax.runtime.workers import Died, Workers
from tests import layouts

VIDEOS = 8


@pytest.fixture(scope="module")
def folder(write_video, tmp_path_factory):
  """Eight videos of two classes, each of another length."""
  folder = tmp_path_factory.mktemp("videos")
  for i in range(VIDEOS):
    name = f"{'walk' if i < 4 else 'run'}/{i}.mp4"
    write_video(folder / name, frames=10 + i, height=48, width=64)
  return folder


@pytest.fixture(scope="module")
def prepared(folder, tmp_path_factory):
  output = tmp_path_factory.mktemp("prepared")
  assert run(folder, output) == 0
  return output


def arguments(source, output, *more):
  return [
    "--dataset=folder",
    f"--source={source}",
    f"--output={output}",
    "--short_side=32",
    "--shards=4",
    "--workers=2",
    *more,
  ]


def run(source, output, *more):
  return prepare.main(arguments(source, output, *more))


def contents(output):
  """Digests of all files but hidden ones."""
  return {
    path.name: hashlib.sha256(path.read_bytes()).hexdigest()
    for path in sorted(pathlib.Path(output).iterdir())
    if path.is_file()
  }


@pytest.fixture(autouse=True)
def importable(monkeypatch):
  """Lets worker processes import this file, however pytest was started."""
  monkeypatch.syspath_prepend(pathlib.Path(__file__).parents[2])


# --- what comes out -------------------------------------------------------


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


def test_stopped_while_generating_it_is_no_folder_of_videos(
  tmp_path, write_video, monkeypatch
):
  args = ["--dataset=synthetic", f"--output={tmp_path}", "--videos=5"]

  class Stopped(Workers):
    def map(self, arguments):
      write_video(pathlib.Path(next(iter(arguments))[2]), frames=4)
      raise KeyboardInterrupt

  with monkeypatch.context() as patch:
    patch.setattr(synthetic, "Workers", Stopped)
    assert prepare.main(args) == 130
  assert list(tmp_path.rglob("*.mp4"))
  with pytest.raises(DataError, match=r"no index\.json.*interrupted"):
    sources.open(tmp_path)
  assert prepare.main([*args, "--short_side=32", "--workers=1"]) == 0
  assert not list(tmp_path.glob(".*"))


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


# --- published datasets ---------------------------------------------------


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


# --- what cannot be used --------------------------------------------------


def test_bad_files_are_named_and_counted(folder, tmp_path, capsys):
  source = tmp_path / "videos"
  source.mkdir()
  (source / "a.mp4").symlink_to(folder / "run" / "4.mp4")
  (source / "b.mp4").write_bytes(b"not a video")
  (source / "c.mp4").symlink_to(folder / "run" / "5.mp4")
  (source / "d.mp4").symlink_to(tmp_path / "nowhere.mp4")
  (source / "\udcff.mp4").write_bytes(b"")
  assert run(source, tmp_path / "out", "--shards=1") == 0
  dataset = sources.open(tmp_path / "out")
  assert [video.id for video in dataset] == ["a.mp4", "c.mp4"]
  np.testing.assert_array_equal(dataset.index.split("train"), [0, 1])
  out = capsys.readouterr().out
  assert "could not be used: 3" in out
  assert "videos/b.mp4: cannot be opened: Invalid data" in out
  assert "videos/d.mp4: cannot be opened: No such file" in out
  ids = [skipped["id"] for skipped in dataset.index.skipped]
  assert ids == ["b.mp4", "d.mp4", r"\xff.mp4"]


def test_the_real_broken_file_is_named(clips, tmp_path, capsys):
  source = tmp_path / "videos"
  source.mkdir()
  for name in ("corrupted.mp4", "short_32_frames.mp4"):
    (source / name).symlink_to(clips / name)
  assert run(source, tmp_path / "out") == 0
  assert "corrupted.mp4: stops after 28 frames: Inv" in capsys.readouterr().out


def test_a_shard_may_end_up_empty(folder, tmp_path):
  source = tmp_path / "videos"
  source.mkdir()
  for name in ("a.mp4", "b.mp4", "c.mp4"):
    (source / name).write_bytes(b"not a video")
  (source / "d.mp4").symlink_to(folder / "run" / "4.mp4")
  assert run(source, tmp_path / "out") == 0
  dataset = sources.open(tmp_path / "out")
  assert [video.id for video in dataset] == ["d.mp4"]


def die_of_four(file, codec, short_side):
  """As `videos.prepare_video`, with a codec that crashes on one file."""
  if file.id == "run/4.mp4":
    os.kill(os.getpid(), signal.SIGSEGV)
  return videos.prepare_video(file, codec, short_side)


def test_a_dying_worker_costs_one_video(folder, tmp_path, monkeypatch, capsys):
  monkeypatch.setattr(videos, "prepare_video", die_of_four)
  assert run(folder, tmp_path) == 0
  assert "run/4.mp4: the codec crashed on it" in capsys.readouterr().out
  index = sources.open(tmp_path).index
  assert index.num_videos == VIDEOS - 1
  assert [skipped["id"] for skipped in index.skipped] == ["run/4.mp4"]


def raise_of_four(path, **kwargs):
  raise ZeroDivisionError("strange")


def test_a_strange_file_costs_one_video(folder, monkeypatch):
  monkeypatch.setattr("hdc_jax.data.video.codec.encode", raise_of_four)
  file = VideoFile("a.mp4", "a", {}, ("train",))
  skipped = videos.prepare_video(file, "h264", 32)
  assert skipped.id == "a"
  assert "a.mp4: ZeroDivisionError('strange')" in skipped.reason


def square_or_die(number, mortal):
  if number in mortal:
    os._exit(1)
  return number**2


@pytest.mark.parametrize("mortal", [(0,), (3, 4, 5)])
def test_workers_keep_order_whoever_dies(mortal):
  mortal = frozenset(mortal)
  with Workers(square_or_die, 2) as workers:
    results = list(workers.map((i, mortal) for i in range(30)))
  assert [type(result) for result in results] == [
    Died if i in mortal else int for i in range(30)
  ]
  for i in set(range(30)) - mortal:
    assert results[i] == i**2


def test_workers_take_no_more_than_they_need():
  taken = []

  def calls():
    for i in range(100):
      taken.append(i)
      yield i, frozenset()

  with Workers(square_or_die, 2) as workers:
    results = workers.map(calls())
    assert next(results) == 0
    assert len(taken) <= 9


# --- errors ---------------------------------------------------------------


def test_errors_are_one_line(tmp_path, capsys):
  def error_of(*args):
    code = prepare.main([f"--output={tmp_path / 'out'}", *args])
    message = capsys.readouterr().err
    assert message.startswith("error: ")
    assert message.count("\n") == 1
    return code, message

  code, message = error_of("--dataset=folder")
  assert code == 2
  assert "--source is missing" in message
  code, message = error_of("--dataset=folder", f"--source={tmp_path / 'no'}")
  assert code == 3
  assert "no: no such directory" in message
  code, message = error_of("--dataset=folder", f"--source={tmp_path}")
  assert code == 3
  assert f"no usable videos in {tmp_path}" in message
  code, message = error_of("--dataset=ucf101", f"--source={tmp_path}")
  assert code == 2
  assert "--splits is missing: the directory of" in message
  code, message = error_of("--dataset=folder", f"--splits={tmp_path}")
  assert code == 2
  assert "--splits is of no use to this dataset" in message
  code, message = error_of("--dataset=hmdb51", f"--splits={tmp_path / 'no'}")
  assert code == 3
  assert "no: no such directory" in message
  code, message = error_of("--dataset=hmdb51", f"--splits={tmp_path}")
  assert code == 2
  assert "--source is missing" in message
  code, message = error_of("--dataset=synthetic", "--short_side=31")
  assert code == 2
  assert "short_side=31" in message
  (tmp_path / "out").write_text("a file")
  code, message = error_of("--dataset=synthetic", "--videos=2")
  assert code == 3


def test_no_usable_video_is_an_error(tmp_path, capsys):
  source = tmp_path / "videos"
  source.mkdir()
  (source / "a.mp4").write_bytes(b"not a video")
  assert run(source, tmp_path / "out") == 3
  message = capsys.readouterr().err
  assert f"error: no usable videos in {source}: " in message
  assert "a.mp4: cannot be opened" in message
  assert not (tmp_path / "out" / "index.json").exists()


def test_debug_shows_where(tmp_path, capsys):
  args = ["--dataset=folder", f"--output={tmp_path}", "--debug"]
  assert prepare.main(args) == 2
  assert "Traceback" in capsys.readouterr().err


# --- again ----------------------------------------------------------------


@pytest.fixture
def no_work(monkeypatch):
  def fail(*args):
    pytest.fail("there was nothing to do")

  monkeypatch.setattr(local, "make_shards", fail)


def copy(prepared, target):
  for path in prepared.iterdir():
    (target / path.name).write_bytes(path.read_bytes())


def test_a_prepared_dataset_is_left_alone(folder, prepared, no_work, capsys):
  before = {path: path.stat().st_mtime_ns for path in prepared.iterdir()}
  assert run(folder, prepared) == 0
  assert "already prepared" in capsys.readouterr().out
  assert before == {
    path: path.stat().st_mtime_ns for path in prepared.iterdir()
  }


def made_again(monkeypatch):
  """A list of the shards that are written from here on."""
  names = []
  write = prepare.shards.write

  def spy(directory, plan, results):
    names.append(plan.name[6:11])
    return write(directory, plan, results)

  monkeypatch.setattr(prepare.shards, "write", spy)
  return names


@pytest.mark.parametrize(
  "damage",
  [
    lambda path: path.unlink(),
    lambda path: path.write_bytes(path.read_bytes()[:-1]),
    lambda path: path.with_suffix(".json").write_text("{"),
  ],
  ids=["missing", "cut", "sidecar"],
)
def test_only_damaged_shards_are_made_again(
  folder, prepared, tmp_path, monkeypatch, damage
):
  copy(prepared, tmp_path)
  damage(tmp_path / "shard-00002-of-00004.array_record")
  (tmp_path / "index.json").unlink()
  names = made_again(monkeypatch)
  assert run(folder, tmp_path) == 0
  assert names == ["00002"]
  assert contents(tmp_path) == contents(prepared)


def test_a_shard_lost_later_is_made_again(
  folder, prepared, tmp_path, monkeypatch
):
  copy(prepared, tmp_path)
  (tmp_path / "shard-00001-of-00004.array_record").unlink()
  names = made_again(monkeypatch)
  assert run(folder, tmp_path) == 0
  assert names == ["00001"]
  assert contents(tmp_path) == contents(prepared)


def change_file(source):
  path = source / "walk" / "0.mp4"
  path.write_bytes((source / "walk" / "1.mp4").read_bytes())
  return []


@pytest.mark.parametrize(
  ("change", "again"),
  [
    (lambda source: ["--short_side=48"], 4),
    (lambda source: (source / "run" / "4.mp4").unlink() or [], 1),
    (lambda source: (source / "run").rename(source / "sprint") and [], 4),
    (change_file, 1),
  ],
  ids=["size", "removed", "renamed", "changed"],
)
def test_shards_of_another_request_are_not_reused(
  folder, prepared, tmp_path, monkeypatch, change, again
):
  """The result is that of starting from nothing."""
  source, output = tmp_path / "source", tmp_path / "output"
  for path in folder.rglob("*.mp4"):
    target = source / path.relative_to(folder)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(path.read_bytes())
  output.mkdir()
  copy(prepared, output)
  more = change(source)
  names = made_again(monkeypatch)
  assert run(source, output, *more) == 0
  assert len(names) == again
  monkeypatch.undo()
  (tmp_path / "fresh").mkdir()
  assert run(source, tmp_path / "fresh", *more) == 0
  assert contents(output) == contents(tmp_path / "fresh")


def test_shards_of_an_earlier_request_are_removed(folder, prepared, tmp_path):
  copy(prepared, tmp_path)
  (tmp_path / ".shard-00007-of-00009.array_record.tmp").write_bytes(b"killed")
  (tmp_path / "notes.txt").write_text("mine")
  assert run(folder, tmp_path, "--shards=1") == 0
  assert sorted(path.name for path in tmp_path.iterdir()) == [
    "index.json",
    "notes.txt",
    "shard-00000-of-00001.array_record",
    "shard-00000-of-00001.json",
  ]


def test_another_encoder_makes_everything_again(
  folder, prepared, tmp_path, monkeypatch
):
  copy(prepared, tmp_path)
  monkeypatch.setattr(h264, "ENCODER_VERSION", 99)
  names = made_again(monkeypatch)
  assert run(folder, tmp_path) == 0
  assert len(names) == 4


# --- interrupted ----------------------------------------------------------


@pytest.fixture(scope="module")
def long_folder(write_video, tmp_path_factory):
  """Enough to be interrupted at."""
  folder = tmp_path_factory.mktemp("long")
  path = write_video(folder / "0.mp4", frames=60, height=240, width=320)
  for i in range(1, 16):
    (folder / f"{i}.mp4").symlink_to(path)
  return folder


# Tests that run in the background inherit that Ctrl-C is ignored.
UNIGNORE_CTRL_C = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
command = [sys.executable, "-m", "hdc_jax.prepare", *sys.argv[1:]]
os.execv(sys.executable, command)
"""


def stop_midway(source, output, sent):
  """Prepares in a process of its own; sends a signal after the first shard."""
  process = subprocess.Popen(
    [
      sys.executable,
      "-c",
      UNIGNORE_CTRL_C,
      *arguments(source, output, "--shards=8"),
    ],
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
    start_new_session=True,
  )
  while not list(output.glob("shard-00000*.json")):
    assert process.poll() is None, process.communicate()
    time.sleep(0.01)
  children = children_of(process.pid)
  if sent == signal.SIGINT:  # as a terminal does
    os.killpg(process.pid, sent)
  else:
    process.send_signal(sent)
  process.wait(30)
  deadline = time.monotonic() + 10
  while any(is_alive(pid) for pid in children):
    assert time.monotonic() < deadline, "workers outlive their parent"
    time.sleep(0.02)
  return process.returncode, process.communicate()[1]


def children_of(pid):
  path = pathlib.Path(f"/proc/{pid}/task/{pid}/children")
  return path.read_text().split() if path.exists() else []


def is_alive(pid):
  path = pathlib.Path(f"/proc/{pid}/stat")
  try:
    return path.read_text().rsplit(")")[-1].split()[0] != "Z"
  except OSError:
    return False


def test_killed_midway_it_goes_on(long_folder, tmp_path, capfd):
  output, fresh = tmp_path / "output", tmp_path / "fresh"
  output.mkdir()
  code, _ = stop_midway(long_folder, output, signal.SIGKILL)
  assert code == -signal.SIGKILL
  assert not (output / "index.json").exists()
  finished = {
    path: path.stat().st_mtime_ns
    for path in output.glob("*.array_record")
    if path.with_suffix(".json").exists()
  }
  assert 0 < len(finished) < 8
  assert run(long_folder, output, "--shards=8") == 0
  assert f"{len(finished)} of 8 shards are finished" in capfd.readouterr().out
  assert finished == {path: path.stat().st_mtime_ns for path in finished}
  assert run(long_folder, fresh, "--shards=8") == 0
  assert contents(output) == contents(fresh)
  assert not list(output.glob(".*"))


def test_ctrl_c_leaves_finished_shards_and_says_so(long_folder, tmp_path):
  code, err = stop_midway(long_folder, tmp_path, signal.SIGINT)
  assert code == 130
  assert "of 8 shards are finished; run the same command again" in err
  assert "Traceback" not in err
  assert [path.name for path in tmp_path.glob(".*")] == [index_lib.UNFINISHED]
  assert not (tmp_path / "index.json").exists()
  assert list(tmp_path.glob("*.array_record"))


def test_the_index_comes_last(folder, prepared, tmp_path, monkeypatch):
  """While shards are replaced there is no index that would describe others."""
  copy(prepared, tmp_path)
  seen = []
  write = prepare.shards.write

  def spy(*args):
    seen.append((tmp_path / "index.json").exists())
    return write(*args)

  monkeypatch.setattr(prepare.shards, "write", spy)
  assert run(folder, tmp_path, "--codec=raw") == 0
  assert seen == [False] * 4
  assert Index.load(tmp_path).codec == "raw"


def test_help_teaches(capsys):
  with pytest.raises(SystemExit) as exit_:
    prepare.main(["--help"])
  assert exit_.value.code == 0
  out = capsys.readouterr().out
  for word in ("examples:", "--dataset=synthetic", "--source", "--short_side"):
    assert word in out
  for name, dataset in DATASETS.items():
    assert name in out
    assert " ".join(dataset.layout.split()) in " ".join(out.split())
  assert max(map(len, out.splitlines()[20:])) <= 80
