"""Whatever a record, an index or a sidecar holds is data."""

import json
import shutil

import msgpack
import numpy as np
import pytest
from etils import epath
from hypothesis import strategies as st

from hdc_jax.data import sources
from hdc_jax.data.clips import sampling, training_clips
from hdc_jax.data.clips.evaluation_clips import BAD, CutSegments
from hdc_jax.data.clips.placement import FixedPlacement, RandomPlacement
from hdc_jax.data.datasets.base import Listing
from hdc_jax.data.options import Clips
from hdc_jax.data.store import chunks, records
from hdc_jax.data.store.index import Index
from hdc_jax.data.store.shard_files import OneVideo
from hdc_jax.data.video import codec
from hdc_jax.prepare import indexing, shards, summary
from tests.data.store import first_version
from tests.fuzz.damage import damaged, fuzz, junk_in, package_errors


def check_use(source, number=0):
  """Trains on a record and evaluates it, as far as it goes."""
  label = next(iter(source.index.labels), "")
  for starts, clips in (
    (sampling.IntervalStarts(2.0), Clips(frames=4, canvas=32, fps=9.0)),
    (sampling.ShiftedStarts(), Clips(frames=4, stride=2)),
  ):
    cut = training_clips.make_cut(
      source, clips, records=np.arange(1), starts=starts, label=label
    )
    with package_errors():
      batch = cut.random_map([number], np.random.default_rng(0))
      assert batch["y"].shape[:2] == (2, 4)
      assert batch["y"].dtype == np.uint8
  for placement in (
    FixedPlacement(4, 2, 32, 0, "five"),
    RandomPlacement(4, 1, 32, clips=2, seed=0),
  ):
    with package_errors():
      batch = CutSegments(source, label, placement).map(number)
      assert BAD in batch or batch["y"].shape[1:] == (4, 32, 32)


@pytest.fixture(scope="module", params=["h264", "raw"])
def one(request, prepared, write_video, tmp_path_factory):
  """A prepared dataset of one codec, whose records can be replaced."""
  path = tmp_path_factory.mktemp(request.param) / "video.mp4"
  encoded = codec.encode(
    str(write_video(path, frames=20, height=40, width=54)),
    codec=request.param,
    short_side=40,
  )
  source = sources.open(prepared)
  source.index = Index(
    **{**vars(source.index), "codec": request.param, "tags": {"tag": ["a"]}}
  )
  return source, encoded


@pytest.fixture
def source(one):
  return one[0]


@pytest.fixture(params=[1, 2])
def stored(one, request):
  """The record and the chunks of a video, in each version."""
  source, encoded = one
  label = next(iter(source.index.labels))
  labels, tags = {label: ((0, 1), (8, 0))}, {"tag": [0]}
  if request.param == 1:
    data = first_version.serialize("v", labels, encoded, tags=tags, group="g")
    return data, []
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(chunks, "CHUNK_BYTES", 1)
    record, parts = records.cut("v", labels, encoded, tags, "g")
  assert len(parts) > 1
  return record.to_bytes(), parts


@pytest.mark.parametrize("how", ["bytes", "fields"])
def test_records(source, stored, how):
  whole, parts = stored
  fields = msgpack.unpackb(whole)
  cases = {
    "bytes": damaged(whole),
    "fields": junk_in(fields).flatmap(
      lambda tree: st.just(msgpack.packb(tree))
    ),
  }[how]

  @fuzz(cases)
  def run(data):
    source._stored = OneVideo(data, parts)
    check_use(source)

  run()


@pytest.mark.parametrize("stored", [2], indirect=True)
def test_chunks(source, stored):
  """Damage of the sizes of packets, and of these."""
  whole, parts = stored

  @fuzz(st.lists(damaged(parts[0]), min_size=1, max_size=len(parts)))
  def run(damaged_parts):
    kept = parts[len(damaged_parts) :]
    source._stored = OneVideo(whole, [*damaged_parts, *kept])
    check_use(source)

  run()


@pytest.mark.parametrize("stored", [1], indirect=True)
def test_packets(source, stored):
  """Damage that only the decoder meets."""
  whole, _ = stored
  fields = msgpack.unpackb(whole)

  @fuzz(st.tuples(damaged(fields["packets"]), damaged(fields["extradata"])))
  def run(parts):
    packets, extradata = parts
    sizes = np.frombuffer(fields["sizes"], "<u4").astype(np.int64)
    packets = packets.ljust(sizes.sum(), b"\0")[: sizes.sum()]
    made = {**fields, "packets": packets, "extradata": extradata}
    source._stored = OneVideo(msgpack.packb(made))
    check_use(source)

  run()


@pytest.fixture(scope="module")
def copied(prepared, tmp_path_factory):
  copy = shutil.copytree(prepared, tmp_path_factory.mktemp("data") / "copy")
  # With its first file, the library starts 64 threads, which hang if they get
  # no more than the memory that a case may take.
  sources.open(copy)[0]
  return copy


@pytest.mark.parametrize("how", ["bytes", "fields"])
def test_indices(copied, how):
  path = copied / "index.json"
  whole = path.read_bytes()
  cases = {
    "bytes": damaged(whole),
    "fields": junk_in(json.loads(whole)).map(
      lambda tree: json.dumps(tree, default=repr).encode()
    ),
  }[how]

  @fuzz(cases)
  def run(data):
    path.write_bytes(data)
    with package_errors():
      source = sources.open(copied)
      for split in source.index.splits:
        numbers = source.index.split(split)
        source[int(numbers[-1])]

  run()
  path.write_bytes(whole)


@pytest.mark.parametrize("how", ["bytes", "fields"])
def test_sidecars(copied, how):
  directory = epath.Path(copied)
  name = Index.load(copied).shards[0].name
  path = copied / name.replace(".array_record", ".json")
  whole = path.read_bytes()
  plan = shards.Plan(name, [], json.loads(whole)["key"])
  assert shards.finished(directory, [plan]) != [None]
  cases = {
    "bytes": damaged(whole),
    "fields": junk_in(json.loads(whole)).map(
      lambda tree: json.dumps(tree, default=repr).encode()
    ),
  }[how]

  @fuzz(cases)
  def run(data):
    path.write_bytes(data)
    with package_errors():
      for sidecar in shards.finished(directory, [plan]):
        if sidecar:
          index = indexing.combine(
            [sidecar],
            request="r",
            codec="h264",
            short_side=40,
            listing=Listing([], {}),
          )
          summary.describe(directory, index, [sidecar], Listing([], {}))

  run()
  path.write_bytes(whole)


def test_nested_lists_take_no_memory(source):
  """Each list claims as many items as it may, within the one before."""
  data = b"\x81\xa1a" + b"\xdd\x00\x0f\x42\x40" * 200_000
  source._stored = OneVideo(data)
  check_use(source)
