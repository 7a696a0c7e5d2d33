"""What becomes of videos that cannot be used."""

import os
import signal

import numpy as np

from hdc_jax.data import sources
from hdc_jax.data.datasets import VideoFile
from hdc_jax.prepare.runners import videos
from tests.prepare.preparing import VIDEOS, run


def test_bad_files_are_named_and_counted(folder, tmp_path, capsys):
  source = tmp_path / "videos"
  source.mkdir()
  (source / "a.mp4").symlink_to(folder / "run" / "4.mp4")
  (source / "b.mp4").write_bytes(b"not a video")
  (source / "c.mp4").symlink_to(folder / "run" / "5.mp4")
  (source / "\udcff.mp4").write_bytes(b"")
  assert run(source, tmp_path / "out", "--shards=1") == 0
  dataset = sources.open(tmp_path / "out")
  assert [video.id for video in dataset] == ["a.mp4", "c.mp4"]
  np.testing.assert_array_equal(dataset.index.split("train"), [0, 1])
  out = capsys.readouterr().out
  assert "could not be used: 2" in out
  assert "videos/b.mp4: cannot be opened: Invalid data" in out
  ids = [skipped["id"] for skipped in dataset.index.skipped]
  assert ids == ["b.mp4", r"\xff.mp4"]


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


def die_of_four(file, *settings):
  """As `videos.prepare_video`, with a codec that crashes on one file."""
  if file.id == "run/4.mp4":
    os.kill(os.getpid(), signal.SIGSEGV)
  return videos.prepare_video(file, *settings)


def test_a_dying_worker_costs_one_video(folder, tmp_path, monkeypatch, capsys):
  monkeypatch.setattr(videos, "prepare_video", die_of_four)
  assert run(folder, tmp_path) == 0
  assert "run/4.mp4: the codec crashed on it" in capsys.readouterr().out
  index = sources.open(tmp_path).index
  assert index.num_videos == VIDEOS - 1
  assert [skipped["id"] for skipped in index.skipped] == ["run/4.mp4"]


def raise_of_four(path, *_, **__):
  raise ZeroDivisionError("strange")


def test_a_strange_file_costs_one_video(folder, monkeypatch):
  monkeypatch.setattr("hdc_jax.prepare.runners.videos.Original", raise_of_four)
  file = VideoFile("a.mp4", "a", {}, ("train",))
  skipped = videos.prepare_video(file, "h264", 32)
  assert skipped.id == "a"
  assert "a.mp4: ZeroDivisionError('strange')" in skipped.reason
