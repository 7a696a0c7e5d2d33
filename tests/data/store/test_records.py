"""Records: what is read is what was written, or an error."""

import dataclasses

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hdc_jax.data.store.records import Record, label_at
from hdc_jax.data.video.codec import Encoded
from hdc_jax.errors import DataError
from tests.data.store import first_version

ENCODED = Encoded(
  codec="h264",
  fps=25.0,
  height=64,
  width=86,
  extradata=b"\0\0\1sps",
  packets=bytes(i % 251 for i in range(550)),
  offsets=np.array([0, 500, 520, 550]),
  keyframes=np.array([True, False, False]),
  disposable=np.zeros(3, bool),
)
OLD = first_version.serialize("a/b.mp4", {"class": ((0, 3),)}, ENCODED)


def record_of(id, labels, frames=40, per_chunk=16, tags=None, group=""):
  return Record(
    id=id,
    labels=labels,
    codec="h264",
    fps=30000 / 1001,
    height=64,
    width=86,
    extradata=b"\0\0\1sps",
    num_frames=frames,
    chunk_frames=per_chunk,
    first_chunk=frames // 3,
    tags=tags or {},
    group=group,
  )


segments = st.lists(
  st.integers(0, 999), min_size=1, max_size=4, unique=True
).map(lambda starts: tuple((s, s % 7) for s in [0, *sorted(set(starts) - {0})]))
any_record = st.builds(
  record_of,
  id=st.text(min_size=1),
  labels=st.dictionaries(st.text(min_size=1), segments, max_size=3),
  frames=st.integers(1, 1 << 40),
  per_chunk=st.integers(1, 1024),
  tags=st.dictionaries(st.text(min_size=1), st.lists(st.integers(0, 400))),
  group=st.text(),
)
A_RECORD = record_of("a/b.mp4", {"class": ((0, 3),)})


@settings(max_examples=40, deadline=None)
@given(any_record)
def test_a_record_comes_back_whole(record):
  assert Record.from_bytes(record.to_bytes()) == record


def test_equal_records_give_equal_bytes():
  labels = {"motion": ((0, 1),), "scene": ((0, 2), (24, 3))}
  a, b = (
    record_of("v", each) for each in (labels, dict(reversed(labels.items())))
  )
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


def test_frames_of_the_first_version_come_back_whole():
  record = Record.from_bytes(OLD)
  assert (record.id, record.num_frames, record.num_chunks) == ("a/b.mp4", 3, 1)
  again = record.encoded(record.packets)
  for field in dataclasses.fields(Encoded):
    a, b = (getattr(each, field.name) for each in (again, ENCODED))
    np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
  ("changes", "reason"),
  [
    ({"packets": b"\1" * 549}, r"a/b\.mp4 is cut short"),
    ({"keyframes": b"\0"}, r"a/b\.mp4 begins with no keyframe"),
    ({"sizes": b"\1" * 11}, "the sizes of its frames"),
    ({"first_chunk": 0}, "'first_chunk' is unknown"),
  ],
)
def test_damage_of_the_first_version_is_an_error(changes, reason):
  fields = msgpack.unpackb(OLD) | changes
  with pytest.raises(DataError, match=reason):
    Record.from_bytes(msgpack.packb(fields))


@pytest.mark.parametrize("version", [0, 4, 99, True, 1.0, "1"])
def test_a_record_of_another_version_says_so(version):
  fields = msgpack.unpackb(OLD) | {"version": version}
  with pytest.raises(DataError, match=rf"version {version}, .* reads 1, 2, 3"):
    Record.from_bytes(msgpack.packb(fields))


@given(segments, st.integers(0, 1200))
def test_the_label_is_that_of_the_last_segment_begun(segments, frame):
  begun = [label for first, label in segments if first <= frame]
  assert label_at(segments, frame) == begun[-1]
