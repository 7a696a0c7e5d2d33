"""Records: what is read is what was written, or an error."""

import dataclasses

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hdc_jax.data.store import records
from hdc_jax.data.store.records import Record, label_at
from hdc_jax.data.video.codec import Encoded
from hdc_jax.errors import DataError


def record_of(id, labels, sizes, keyframes, tags=None, group=""):
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
    tags=tags or {},
    group=group,
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
    tags=st.dictionaries(st.text(min_size=1), st.lists(st.integers(0, 400))),
    group=st.text(),
  )
)
A_RECORD = record_of("a/b.mp4", {"class": ((0, 3),)}, [500, 20, 30], [1, 0, 0])


@settings(max_examples=40, deadline=None)
@given(any_record)
def test_a_record_comes_back_whole(record):
  again = Record.from_bytes(record.to_bytes())
  assert again.id == record.id
  assert again.labels == record.labels
  assert (again.tags, again.group) == (record.tags, record.group)
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
