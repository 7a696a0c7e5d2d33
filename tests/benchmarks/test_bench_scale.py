"""The benchmark of many shards, at a size that says nothing about speed."""

import json

import pytest

from benchmarks import bench_scale


@pytest.mark.slow
def test_record(write_video, tmp_path, capsys):
  paths = [
    str(write_video(tmp_path / f"{i}.mp4", frames=40, height=144, width=160))
    for i in range(2)
  ]
  record = tmp_path / "scale.json"
  flags = {
    "videos": 400,
    "shards": 8,
    "seconds": 1,
    "hosts": 4,
    "batch": 4,
    "steps": 2,
    "load": 1,
    "latency": 0.001,
    "errors": 0.05,
    "json": record,
  }
  given = [f"--{name}={value}" for name, value in flags.items()]
  assert bench_scale.main([*paths, *given]) == 0
  rows = {row["name"]: row for row in json.loads(record.read_text())["rows"]}
  assert list(rows) == [
    f"{part}, {how}"
    for part in ("all videos", "a host's lanes")
    for how in ("local", "streamed")
  ]
  for name, row in rows.items():
    assert row["first_batch_seconds"] >= row["open_seconds"] > 0
    if "streamed" in name:
      assert row["equal"]
      assert row["share_of_bytes"] > 0
      assert row["requests"]["206"] > 12
  # A host opens the shards of its lanes alone.
  opened = [
    rows[f"{part}, streamed"]["opening_bytes"]
    for part in ("all videos", "a host's lanes")
  ]
  assert opened[0] > opened[1] > 0
  assert "batches equal to local ones" in capsys.readouterr().out
