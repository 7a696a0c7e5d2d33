"""Shards in the making."""

import json

import numpy as np
from etils import epath

from hdc_jax.data.datasets import VideoFile
from hdc_jax.data.store import records
from hdc_jax.data.video.codec import Encoded
from hdc_jax.data.video.originals import Picture
from hdc_jax.prepare import shards
from hdc_jax.prepare.shards import Plan, Prepared, Skipped

FILES = [
  VideoFile("a/\udcff.mp4", r"a/\xff.mp4", {"class": ((0, 1),)}, ("train",)),
  VideoFile("b.mp4", "b.mp4", {}, ()),
]


def record(file):
  """A record of two frames."""
  offsets = np.array([0, 1, 2])
  keyframes = np.array([True, False])
  encoded = Encoded(
    "h264", 25.0, 2, 2, b"", b"12", offsets, keyframes, ~keyframes
  )
  record, chunks = records.cut(file.id, file.labels, encoded)
  return Prepared([(record, chunks)], Picture(4, 2, interlaced=True))


def test_plans_go_through_json():
  """And give the same bytes, in one line, whatever the files are called."""
  plan = Plan("shard-00000-of-00001.array_record", FILES, "key")
  line = plan.to_json()
  assert line.count(b"\n") == 1
  again = Plan.from_json(line)
  assert [file.path for file in again.files] == [file.path for file in FILES]
  assert again.to_json() == line
  a, b = (
    [
      (each.to_bytes(), chunks)
      for made in map(record, files)
      for each, chunks in made.videos
    ]
    for files in (again.files, plan.files)
  )
  assert a == b


def test_sidecars_do_not_depend_on_the_process(tmp_path):
  """Python's sets have another order in each."""
  segments = tuple((i, 8 - i) for i in range(8))
  file = VideoFile("a.mp4", "a", {"motion": segments}, ("train",))
  plan = Plan("shard-00000-of-00001.array_record", [file], "key")
  shards.write(epath.Path(tmp_path), plan, [record(file)])
  sidecar = json.loads((tmp_path / "shard-00000-of-00001.json").read_text())
  assert list(sidecar["classes"]["motion"]) == list("12345678")


def test_finished_shards_are_told_from_others(tmp_path):
  plans = [
    Plan(f"shard-0000{i}-of-00003.array_record", [file], f"key {i}")
    for i, file in enumerate([*FILES, FILES[0]])
  ]
  directory = epath.Path(tmp_path)
  assert shards.finished(directory, plans) == [None] * 3
  shards.write(directory, plans[0], [record(FILES[0])])
  shards.write(directory, plans[1], [Skipped("b.mp4", "why")])
  first, second, third = shards.finished(directory, plans)
  assert first.shard.videos == 1
  assert first.originals == {
    "fps": [25.0],
    "frames": [2],
    "width": [4],
    "height": [2],
    "interlaced": [True],
  }
  assert second.skipped == [Skipped("b.mp4", "why")]
  assert third is None
  other = Plan(plans[0].name, plans[0].files, "another key")
  assert shards.finished(directory, [other]) == [None]
