"""Clips to evaluate on, of every part of every video, in batches."""

import dataclasses
from collections.abc import Iterator

import grain
import ml_collections
import numpy as np

from hdc_jax.data import sources
from hdc_jax.data.clips import cutting, loader, sampling
from hdc_jax.data.clips.test_clips import Looks
from hdc_jax.data.labels.segments import Part, parts_of
from hdc_jax.data.video.codec import Frames, Window


@dataclasses.dataclass(frozen=True)
class CutParts(grain.transforms.Map):
  """Cuts the clips out of every part of a video.

  Attributes:
    source: Of the videos.
    label: By which videos are parted, see `parts_of`.
    looks: Which clips.
  """

  source: sources.Source
  label: str
  looks: Looks

  def map(self, number: int) -> cutting.Batch:
    """The clips of a video, one for each window.

    Returns:
      'id' str; 'rows' int32 [n, 5], of each clip the fields of its `Part` and
      its number there; 'y' uint8 [n, T, S, S]; 'uv' uint8 [n, T, S/2, S/2, 2].
    """
    video = self.source[int(number)]
    rows, frames = [], []
    for part in parts_of(int(number), video, self.label):
      found = self._cut(video, part)
      rows += [(*part, i) for i in range(len(found))]
      frames += found
    y, uv = (np.stack(planes) for planes in zip(*frames, strict=True))
    rows = np.array(rows, np.int32)
    return {"id": np.array(video.id), "rows": rows, "y": y, "uv": uv}

  def _cut(self, video: sources.Video, part: Part) -> list[Frames]:
    looks = self.looks
    whole = Window(0, 0, video.height, video.width)
    found = []
    for start, windows in looks.cuts(part, video.height, video.width):
      indices = sampling.clip_indices(
        start, looks.frames, looks.stride, part.first, part.stop
      )
      if len(windows) == 1:
        found.append(video.read(indices, windows[0]))
      else:  # decoded once for all
        frames = video.read(indices, whole)
        found += [_crop(frames, window) for window in windows]
    return found


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
  data: ml_collections.ConfigDict,
  *,
  label: str,
  looks: Looks,
) -> Iterator[cutting.Batch]:
  """What `CutParts` gives for each video, in order.

  Raises:
    DataError: If a video cannot be decoded: nothing is left out of an
      evaluation.
  """
  dataset = grain.MapDataset.source(numbers).map(CutParts(source, label, looks))
  frame_bytes = looks.size**2 * 3 // 2
  video_bytes = looks.estimate * looks.frames * frame_bytes
  return iter(
    loader.read_ahead(dataset, video_bytes, data.threads, data.workers)
  )


def rebatch(
  items: Iterator[cutting.Batch], batch_size: int
) -> Iterator[tuple[cutting.Batch, int]]:
  """Regroups arrays of any length into batches of one size.

  Args:
    items: Arrays with a leading axis of any length, not zero.
    batch_size: Wanted.

  Yields:
    A batch, and how many of its elements are real: the last one is filled up
    with repeats of its first.
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
        yield {k: v[first:stop] for k, v in joined.items()}, batch_size
      held, count = [{k: v[whole:] for k, v in joined.items()}], count - whole
  if count:
    index = np.arange(batch_size) % count
    yield {k: v[index] for k, v in join().items()}, count
