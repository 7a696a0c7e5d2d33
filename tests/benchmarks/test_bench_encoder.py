"""The benchmark of the encoder's settings."""

import json

import pytest

from benchmarks import bench_encoder
from hdc_jax.data.video import encoder


def test_a_row_for_each_combination_of_settings(write_video, tmp_path, capsys):
  path = write_video(tmp_path / "a.mp4", frames=40, height=48, width=64)
  written = tmp_path / "rows.json"
  flags = ["--short_side=32", "--seconds=0.01", "--repeats=1"]
  grid = ["--crf", "20", "40", "--bframes", "0", "3", "--strides", "1", "2"]
  flags += [*grid, f"--json={written}"]
  assert bench_encoder.main([str(path), *flags]) == 0
  rows = json.loads(written.read_text())["rows"]
  settings = [(row["crf"], row["bframes"]) for row in rows]
  assert settings == [("20", "0"), ("20", "3"), ("40", "0"), ("40", "3")]
  for good, poor in (rows[0::2], rows[1::2]):
    assert {good["gop"], poor["gop"]} == {"16"}
  assert rows[0]["bytes"] > rows[2]["bytes"]
  assert rows[0]["psnr"] > rows[2]["psnr"] > 20
  for row in rows:
    times = [row[f"{kind} ×{n}"] for kind in ("bare", "loader") for n in (1, 2)]
    assert min(times) > 0
  assert "loader ×2" in capsys.readouterr().out


@pytest.mark.parametrize("bframes", [0, 1, 3])
def test_settings_reach_the_encoder(write_video, tmp_path, bframes):
  path = write_video(tmp_path / "a.mp4", frames=20, height=48, width=64)
  with bench_encoder.Original(str(path), 32) as original:
    frames = [frame.copy() for frame in original.frames()]
  default = dict(encoder.OPTIONS)
  setting = bench_encoder.Setting("medium", "22", str(bframes), "8")
  encoded, _ = bench_encoder.encode(frames, setting)
  assert encoded.keyframes.nonzero()[0].tolist() == [0, 8, 16]
  shown = {0: 0, 1: 3 + 3 + 1, 3: 5 + 5 + 2}
  assert encoded.disposable.sum() == shown[bframes]
  assert default == encoder.OPTIONS
