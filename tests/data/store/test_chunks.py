"""Chunks: a video comes back whole, in pieces of a bounded size."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hdc_jax.data.store import chunks
from hdc_jax.data.video.codec import Encoded
from hdc_jax.errors import DataError


def video_of(sizes, group, period=1):
  """A video of packets of these sizes, with a keyframe every `group`.

  All frames but every `period`-th of a group are disposable.
  """
  places = np.arange(len(sizes)) % group
  return Encoded(
    codec="h264",
    fps=25.0,
    height=64,
    width=86,
    extradata=b"sps",
    packets=bytes(i % 251 for i in range(sum(sizes))),
    offsets=np.cumsum([0, *sizes], dtype=np.int64),
    keyframes=places == 0,
    disposable=places % period > 0,
  )


videos = st.builds(
  video_of,
  sizes=st.lists(st.integers(0, 700), min_size=1, max_size=60),
  group=st.integers(1, 20),
  period=st.integers(1, 5),
)


@settings(max_examples=60, deadline=None)
@given(videos, st.integers(1, 4000))
def test_chunks_joined_are_the_video(video, limit):
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(chunks, "CHUNK_BYTES", limit)
    patch.setattr(chunks, "MAX_CHUNK_FRAMES", 48)
    frames = chunks.frames_per_chunk(video)
  keys = np.flatnonzero(video.keyframes)
  group = int(keys[1]) if len(keys) > 1 else video.num_frames
  first, packets, sizes, keyframes, disposable = 0, b"", [], [], []
  for data in chunks.split(video, frames):
    count = min(frames, video.num_frames - first)
    part = chunks.parse(data, count)
    # As many groups as the limit allows, but no group is cut.
    assert len(part.packets) <= limit or frames == group
    assert count <= 48 or frames == group
    packets += part.packets
    sizes += np.diff(part.offsets).tolist()
    keyframes += part.keyframes.tolist()
    disposable += part.disposable.tolist()
    first += count
  assert (packets, keyframes) == (video.packets, video.keyframes.tolist())
  assert disposable == video.disposable.tolist()
  assert np.cumsum([0, *sizes]).tolist() == video.offsets.tolist()


def test_chunks_are_not_smaller_than_they_need_be():
  assert chunks.frames_per_chunk(video_of([1000] * 320, 16)) == 96
  # The largest anywhere counts.
  assert chunks.frames_per_chunk(video_of([1000] * 304 + [9000] * 16, 16)) == 16
  assert chunks.frames_per_chunk(video_of([32_640] * 16, 1)) == 3
  assert chunks.frames_per_chunk(video_of([200_000] * 16, 1)) == 1
  assert chunks.frames_per_chunk(video_of([1] * 3000, 16)) == 1024
  assert chunks.frames_per_chunk(video_of([10] * 7, 16)) == 7


def test_keyframes_must_be_evenly_spaced():
  video = video_of([9] * 9, 3)
  video.keyframes[4] = True
  with pytest.raises(ValueError, match="evenly"):
    chunks.frames_per_chunk(video)


@pytest.mark.parametrize(
  ("data", "reason"),
  [
    (b"", "cut short"),
    (b"\x02\0\0\x80\x01\0\0\0ab", "cut short"),
    (b"\x02\0\0\x80\x01\0\0\0abcd", "too long"),
    (b"\x02\0\0\0\x01\0\0\0abc", "no keyframe"),
    (b"\x02\0\0\xc0\x01\0\0\0abc", "no keyframe"),
  ],
)
def test_what_is_no_chunk_is_an_error(data, reason):
  whole = b"\x02\0\0\x80\x01\0\0\0abc"
  assert chunks.parse(whole, 2).offsets.tolist() == [0, 2, 3]
  with pytest.raises(DataError, match=reason):
    chunks.parse(data, 2)
