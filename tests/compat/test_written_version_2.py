"""A dataset of version 2, as it was written, is read today.

written_version_2/ holds its index, and the record and the chunk of one video of
64 generated frames. Nothing there is to be made anew by later code.
"""

import pathlib

import av
import msgpack
import numpy as np
import pytest

from hdc_jax.data.store.index import Index
from hdc_jax.data.store.prepared import Sample
from hdc_jax.data.store.shard_files import OneVideo
from hdc_jax.data.video import frames as frames_lib
from hdc_jax.data.video.frames import Window

WRITTEN = pathlib.Path(__file__).parent / "written_version_2"
RECORD, CHUNK = (
  (WRITTEN / name).read_bytes() for name in ("record.msgpack", "chunk-0")
)
FRAMES = 64


@pytest.fixture(scope="module")
def video():
  index = Index.load(WRITTEN)
  return Sample(index, OneVideo(RECORD, [b"", CHUNK]), "version 2")[0]


@pytest.fixture(scope="module")
def decoded():
  """All frames, by PyAV alone."""
  fields = msgpack.unpackb(RECORD)
  assert (fields["version"], fields["frames"]) == (2, FRAMES)
  context = av.CodecContext.create("h264", "r")
  packets = context.parse(fields["extradata"] + CHUNK[4 * FRAMES :])
  packets += context.parse()
  frames = [f for packet in [*packets, None] for f in context.decode(packet)]
  assert len(frames) == FRAMES
  return frames_lib.crop(
    [frame.to_ndarray(format="yuv420p") for frame in frames],
    Window(0, 0, frames[0].height, frames[0].width),
  )


@pytest.mark.parametrize("stride", [1, 2, 4, 7])
def test_frames_are_those_of_the_plain_decoder(video, decoded, stride):
  window = Window(0, 0, video.height, video.width)
  for start in range(0, FRAMES, 5):
    frames = video.read(range(start, FRAMES, stride), window)
    np.testing.assert_array_equal(frames.y, decoded.y[start::stride])
    np.testing.assert_array_equal(frames.uv, decoded.uv[start::stride])


def test_labels_are_read(video):
  assert video.id == "seed0/000001.mp4"
  assert [video.label("scene", frame) for frame in (0, 31, 32)] == [0, 0, 2]
