"""Clips to evaluate on, of every segment of every video, in batches."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import grain
import numpy as np

from hdc_jax.data import sources
from hdc_jax.data.clips import cutting, loader, sampling
from hdc_jax.data.clips.placement import Placement
from hdc_jax.data.labels.segments import Segment, segments_of
from hdc_jax.data.options import Loading
from hdc_jax.data.video.codec import Frames, Window

# What tells a clip from all others: the fields of its segment, and its number
# there. Each is an array int32 [n] of a batch.
ADDRESS = (*Segment._fields, "clip")


@dataclasses.dataclass(frozen=True)
class CutSegments(grain.transforms.Map):
  """Cuts the clips out of every segment of a video.

  Attributes:
    source: The videos.
    label: The label by which videos are divided, see `segments_of`.
    placement: Which clips are cut.
  """

  source: sources.Source
  label: str
  placement: Placement

  # Grain does not annotate what is overridden here.
  # pyrefly: ignore[bad-override]
  def map(self, element: Any) -> cutting.Batch:
    """The clips of a video, one for each window.

    Returns:
      'id' str; int32 [n] of each of `ADDRESS`; 'y' uint8 [n, T, S, S]; 'uv'
      uint8 [n, T, S/2, S/2, 2].
    """
    video = self.source[int(element)]
    addresses, clips = [], []
    for segment in segments_of(int(element), video, self.label):
      cut = self._cut(video, segment)
      addresses += [(*segment, i) for i in range(len(cut))]
      clips += cut
    y, uv = (np.stack(planes) for planes in zip(*clips, strict=True))
    columns = np.array(addresses, np.int32).T
    named = dict(zip(ADDRESS, columns, strict=True))
    return {"id": np.array(video.id), **named, "y": y, "uv": uv}

  def _cut(self, video: sources.Video, segment: Segment) -> list[Frames]:
    placement = self.placement
    whole = Window(0, 0, video.height, video.width)
    clips = []
    for start, windows in placement.cuts(segment, video.height, video.width):
      indices = sampling.clip_indices(
        start,
        placement.frames,
        placement.stride,
        segment.first,
        segment.stop,
      )
      if len(windows) == 1:
        clips.append(video.read(indices, windows[0]))
      else:  # decoded once for all
        frames = video.read(indices, whole)
        clips += [_crop(frames, window) for window in windows]
    return clips


def _crop(frames: Frames, window: Window) -> Frames:
  top, left, height, width = window
  rows, columns = slice(top, top + height), slice(left, left + width)
  half_rows = slice(top // 2, (top + height) // 2)
  half_columns = slice(left // 2, (left + width) // 2)
  return Frames(
    frames.y[:, rows, columns], frames.uv[:, half_rows, half_columns]
  )


def read_clips(
  source: sources.Source,
  numbers: np.ndarray,
  loading: Loading,
  *,
  label: str,
  placement: Placement,
) -> Iterator[cutting.Batch]:
  """Cuts the clips of each video, in order, see `CutSegments`.

  Args:
    source: The videos.
    numbers: Record numbers of those to read.
    loading: Threads and processes that decode.
    label: The label by which videos are divided into segments; '' for none.
    placement: Which clips are cut.

  Raises:
    DataError: If a video cannot be decoded: nothing is left out of an
      evaluation.
  """
  cut = CutSegments(source, label, placement)
  dataset = loader.record_numbers(numbers).map(cut)
  frame_bytes = placement.size**2 * 3 // 2
  video_bytes = placement.estimate * placement.frames * frame_bytes
  return iter(loader.read_ahead(dataset, video_bytes, loading))


def padding(placement: Placement, batch_size: int) -> cutting.Batch:
  """A batch without any real clip, as `rebatch` gives them."""
  n, t, side = batch_size, placement.frames, placement.size
  return {name: np.zeros(n, np.int32) for name in ADDRESS} | {
    "y": np.zeros((n, t, side, side), np.uint8),
    "uv": np.zeros((n, t, side // 2, side // 2, 2), np.uint8),
    "mask": np.zeros(n, bool),
  }


def rebatch(
  items: Iterator[cutting.Batch], batch_size: int
) -> Iterator[cutting.Batch]:
  """Regroups arrays of any length into batches of one size.

  Args:
    items: Arrays with a leading axis of any length, not zero.
    batch_size: Size of the batches.

  Yields:
    Batches with 'mask', bool [batch_size]: the last one is filled up with
    repeats of its first elements, which are not real and have False there.
  """
  held: list[cutting.Batch] = []
  count = 0

  def join() -> cutting.Batch:
    return {k: np.concatenate([item[k] for item in held]) for k in held[0]}

  for item in items:
    held.append(item)
    count += len(next(iter(item.values())))
    whole = count - count % batch_size
    if whole:
      joined = join()
      for first in range(0, whole, batch_size):
        stop = first + batch_size
        batch = {k: v[first:stop] for k, v in joined.items()}
        yield batch | {"mask": np.ones(batch_size, bool)}
      held, count = [{k: v[whole:] for k, v in joined.items()}], count - whole
  if count:
    index = np.arange(batch_size)
    batch = {k: v[index % count] for k, v in join().items()}
    yield batch | {"mask": index < count}
