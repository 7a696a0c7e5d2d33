"""The loader's benchmark, and the readers that it is compared with."""

import json

import av
import numpy as np
import pytest

from benchmarks import bench_loader, video_readers


@pytest.fixture(scope="module")
def folder(write_video, tmp_path_factory):
  """A folder of two videos of 30 frames, of which one stands upright."""
  folder = tmp_path_factory.mktemp("videos")
  write_video(folder / "a.mp4", frames=30, height=96, width=128)
  write_video(folder / "b.mp4", frames=30, height=128, width=96)
  return folder


def frames_of(path):
  with av.open(str(path)) as container:
    return [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]


@pytest.mark.parametrize("name", ["pyav", "opencv"])
def test_readers_find_the_frames(name, folder):
  """Unscaled, so that they can be compared with a plain decoder's."""
  whole = frames_of(folder / "a.mp4")
  read = video_readers.installed()[name]
  clip = read(str(folder / "a.mp4"), range(13, 28, 7), 96)
  want = np.stack([whole[i] for i in (13, 20, 27)])[:, :, 16:112]
  assert clip.shape == want.shape
  difference = np.abs(clip.astype(int) - want)
  assert difference.mean() < 2
  # The next frame is another one.
  other = np.stack([whole[i + 1] for i in (13, 20, 27 - 1)])[:, :, 16:112]
  assert np.abs(clip.astype(int) - other).mean() > 2 * difference.mean()


def test_a_longer_video_repeats_the_frames(folder, tmp_path):
  path = tmp_path / "long.mkv"
  bench_loader.lengthen(folder / "a.mp4", path, seconds=2.5)
  once, longer = frames_of(folder / "a.mp4"), frames_of(path)
  assert len(longer) == 3 * len(once)
  for turn in range(3):
    part = longer[turn * len(once) : (turn + 1) * len(once)]
    np.testing.assert_array_equal(part, once)


def test_rates_count_clips(monkeypatch):
  """Three clips in each second of CPU time."""
  now = [0.0]
  monkeypatch.setattr(bench_loader.time, "process_time", lambda: now[0])

  def next_clips():
    now[0] += 1.0
    return 3

  cpu, wall = bench_loader.rates(next_clips, seconds=5)
  assert cpu == 3.0
  assert wall > 0


def test_record(folder, tmp_path, capsys):
  path = tmp_path / "loader.json"
  flags = ["--short_side=32", "--frames=4", "--repeats=1", "--seconds=0.05"]
  rows = [
    "--rows",
    "h264",
    "originals",
    "pyav",
    "decord",
    "--threads",
    "1",
    "2",
  ]
  assert bench_loader.main([str(folder), *flags, *rows, f"--json={path}"]) == 0
  record = json.loads(path.read_text())
  assert [row["name"] for row in record["rows"]] == [
    *(f"h264, stride 1, threads {n}" for n in (1, 2)),
    *(f"originals, stride 1, threads {n}" for n in (1, 2)),
    "pyav, stride 1",
  ]
  assert all(row["clips_per_second_per_core"] > 0 for row in record["rows"])
  assert record["left_out"] == ["decord"]
  assert "not installed, left out: decord" in capsys.readouterr().out


def test_bad_input_is_one_line(folder, capsys):
  flags = ["--short_side=32", "--repeats=1", "--seconds=0.05"]
  rows = ["--rows", "pyav", "--frames=99"]
  assert bench_loader.main([str(folder), *flags, *rows]) == 2
  assert bench_loader.main([str(folder / "none"), *flags]) == 3
  first, second = capsys.readouterr().err.splitlines()
  assert "no video has the 99 frames of a clip" in first
  assert "none" in second
