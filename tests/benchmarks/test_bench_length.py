"""The benchmark of clips of long videos."""

import json

import numpy as np

from benchmarks import bench_length
from hdc_jax.data.store import chunks
from hdc_jax.data.video import codec
from hdc_jax.data.video.frames import Window


def test_a_longer_video_repeats_the_frames(write_video, tmp_path, monkeypatch):
  monkeypatch.setattr(chunks, "CHUNK_BYTES", 1)
  path = write_video(tmp_path / "a.mp4", frames=40, height=48, width=64)
  encoded = codec.encode(str(path), short_side=32)
  (video,) = bench_length.write(tmp_path / "data", encoded, seconds=4)
  assert video.num_frames == 4 * 32  # Of 40 frames, two groups of 16 are whole.
  window = Window(0, 0, 32, 32)
  once = codec.decode(encoded, range(32), window)
  for turn in range(4):
    frames = video.read(range(32 * turn, 32 * turn + 32), window)
    np.testing.assert_array_equal(frames.y, once.y)


def test_rows(write_video, tmp_path, capsys):
  path = write_video(tmp_path / "a.mp4", frames=20, height=48, width=64)
  flags = ["--short_side=32", "--frames=4", "--round=0.02", "--repeats=1"]
  lengths = ["--seconds", "1", "3", f"--json={tmp_path / 'rows.json'}"]
  assert bench_length.main([str(path), *flags, *lengths]) == 0
  rows = json.loads((tmp_path / "rows.json").read_text())["rows"]
  names = [f"{c}, {s} s" for c in ("h264", "raw") for s in (1, 3)]
  assert [row["name"] for row in rows] == names
  assert all(row["ms_per_clip"] > 0 for row in rows)
  assert "h264, 3 s" in capsys.readouterr().out
