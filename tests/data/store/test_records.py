"""Records and the index: what is read is what was written, or an error."""

import dataclasses
import json

import msgpack
import numpy as np
import pytest
from etils import epath
from hypothesis import given, settings
from hypothesis import strategies as st

from hdc_jax.data.store import records
from hdc_jax.data.store.records import Index, Record, Shard, label_at
from hdc_jax.data.video.codec import Encoded
from hdc_jax.errors import ConfigError, DataError


def record_of(id, labels, sizes, keyframes):
  return Record(
    id=id,
    labels=labels,
    encoded=Encoded(
      codec="h264",
      fps=30000 / 1001,
      height=64,
      width=86,
      extradata=b"\0\0\1sps",
      packets=bytes(i % 251 for i in range(sum(sizes))),
      offsets=np.cumsum([0, *sizes], dtype=np.int64),
      keyframes=np.array(keyframes, bool),
    ),
  )


segments = st.lists(
  st.integers(0, 999), min_size=1, max_size=4, unique=True
).map(lambda starts: tuple((s, s % 7) for s in [0, *sorted(set(starts) - {0})]))
any_record = st.lists(
  st.tuples(st.integers(1, 3000), st.booleans()), min_size=1, max_size=40
).flatmap(
  lambda frames: st.builds(
    record_of,
    id=st.text(min_size=1),
    labels=st.dictionaries(st.text(min_size=1), segments, max_size=3),
    sizes=st.just([size for size, _ in frames]),
    keyframes=st.just([True, *(key for _, key in frames[1:])]),
  )
)
A_RECORD = record_of("a/b.mp4", {"class": ((0, 3),)}, [500, 20, 30], [1, 0, 0])


@settings(max_examples=40, deadline=None)
@given(any_record)
def test_a_record_comes_back_whole(record):
  again = Record.from_bytes(record.to_bytes())
  assert again.id == record.id
  assert again.labels == record.labels
  assert again.encoded.num_frames == record.encoded.num_frames
  for field in dataclasses.fields(Encoded):
    a, b = (getattr(r.encoded, field.name) for r in (again, record))
    np.testing.assert_array_equal(a, b)
    assert type(a) is type(b)
    assert getattr(a, "dtype", None) == getattr(b, "dtype", None)


def test_equal_records_give_equal_bytes():
  labels = {"motion": ((0, 1),), "scene": ((0, 2), (24, 3))}
  a = record_of("v", labels, [9], [True])
  b = record_of("v", dict(reversed(labels.items())), [9], [True])
  assert a.to_bytes() == b.to_bytes()


@settings(deadline=None)
@given(st.integers(0, len(A_RECORD.to_bytes()) - 1))
def test_a_record_cut_short_is_an_error(length):
  with pytest.raises(DataError):
    Record.from_bytes(A_RECORD.to_bytes()[:length])


@settings(deadline=None)
@given(st.binary(max_size=64))
def test_garbage_is_an_error(data):
  with pytest.raises(DataError):
    Record.from_bytes(data)


def test_missing_packets_are_an_error():
  fields = msgpack.unpackb(A_RECORD.to_bytes())
  fields["packets"] = fields["packets"][:-1]
  with pytest.raises(DataError, match=r"a/b\.mp4 is cut short"):
    Record.from_bytes(msgpack.packb(fields))


def test_a_record_of_another_version_says_so(monkeypatch):
  monkeypatch.setattr(records, "VERSION", 99)
  data = A_RECORD.to_bytes()
  monkeypatch.undo()
  with pytest.raises(DataError, match=r"version 99, .* reads 1; prepare"):
    Record.from_bytes(data)


@given(segments, st.integers(0, 1200))
def test_the_label_is_that_of_the_last_segment_begun(segments, frame):
  begun = [label for first, label in segments if first <= frame]
  assert label_at(segments, frame) == begun[-1]


# --- index ----------------------------------------------------------------


@pytest.fixture
def index():
  return Index(
    fingerprint="f",
    request="r",
    codec="h264",
    short_side=128,
    num_videos=7,
    num_frames=700,
    labels={"class": ["a", "b"]},
    splits={"train": [(0, 3), (5, 7)], "test": [(3, 5)]},
    shards=[Shard("shard-0", 7, 10, "00")],
    skipped=[{"id": "x", "reason": "broken"}],
    official={"videos": 9, "train": 6},
    left_out={"missing": 1},
  )


def test_an_index_comes_back_whole(index, tmp_path):
  index.save(tmp_path)
  again = Index.load(str(tmp_path))
  np.testing.assert_array_equal(again.split("train"), [0, 1, 2, 5, 6])
  again.save(tmp_path / "..")
  assert Index.load(tmp_path / "..") == again
  assert again.shards == index.shards
  assert again.labels == index.labels


def test_an_index_without_official_numbers_is_read(index, tmp_path):
  """As those were that were written before there were any."""
  index.save(tmp_path)
  fields = json.loads((tmp_path / "index.json").read_text())
  del fields["official"], fields["left_out"]
  write(tmp_path, json.dumps(fields))
  again = Index.load(tmp_path)
  assert again == dataclasses.replace(again, official={}, left_out={})
  np.testing.assert_array_equal(again.split("test"), [3, 4])


def test_splits_are_record_numbers(index):
  np.testing.assert_array_equal(index.split("test"), [3, 4])
  assert index.split("test").dtype == np.int64
  with pytest.raises(ConfigError, match=r"no split 'val'.* test, train"):
    index.split("val")
  numbered = dataclasses.replace(index, splits={"train1": [], "train2": []})
  with pytest.raises(ConfigError, match=r"no split 'train'.* train1, train2"):
    numbered.split("train")


def test_an_index_is_written_whole_or_not_at_all(index, tmp_path, monkeypatch):
  index.save(tmp_path)
  before = (tmp_path / "index.json").read_bytes()
  changed = dataclasses.replace(index, num_videos=8)

  def crash(self, target):
    raise KeyboardInterrupt

  monkeypatch.setattr(type(epath.Path(tmp_path)), "replace", crash)
  with pytest.raises(KeyboardInterrupt):
    changed.save(tmp_path)
  assert (tmp_path / "index.json").read_bytes() == before


@pytest.mark.parametrize(
  ("prepare", "message"),
  [
    (lambda path: path.rmdir(), "no such directory"),
    (lambda path: None, r"no index\.json; .*python -m hdc_jax\.prepare"),
    (lambda path: write(path, "{"), "not an index"),
    (lambda path: write(path, "[]"), "not an index"),
    (lambda path: write(path, '{"version": 1}'), "not an index"),
    (lambda path: write(path, '{"version": 2}'), "version 2, .* reads 1"),
  ],
)
def test_what_is_no_index_is_an_error(tmp_path, prepare, message):
  directory = tmp_path / "data"
  directory.mkdir()
  prepare(directory)
  with pytest.raises(DataError, match=message):
    Index.load(directory)


def write(directory, text):
  (directory / "index.json").write_text(text)


def test_missing_and_cut_shards_are_named(index, tmp_path):
  shard = tmp_path / "shard-0"
  with pytest.raises(DataError, match="shard-0: this shard is missing"):
    index.check_shards(tmp_path)
  shard.write_bytes(b"123456789")
  with pytest.raises(DataError, match=r"shard-0.* 9 bytes instead of 10"):
    index.check_shards(tmp_path)
  shard.write_bytes(b"1234567890")
  index.check_shards(tmp_path)


def test_the_index_holds_nothing_per_video(index, tmp_path):
  many = dataclasses.replace(
    index, num_videos=20_000_000, splits={"train": [(0, 20_000_000)]}
  )
  many.save(tmp_path)
  assert (tmp_path / "index.json").stat().st_size < 2000
  assert json.loads((tmp_path / "index.json").read_text())["num_videos"] == 2e7
