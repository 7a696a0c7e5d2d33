"""Clips to evaluate on: every video, or part of one, at evenly spread times.

A part is the longest stretch of a video over which a label keeps its class. A
label of the whole video makes one part of it; a label that changes with time,
such as the scene, makes several.
"""

import dataclasses
from collections.abc import Iterator

import grain
import ml_collections
import numpy as np

from hdc_jax.data import loader, sampling, sources
from hdc_jax.errors import DataError


@dataclasses.dataclass(frozen=True)
class Part:
  """A stretch of a video with one class.

  Attributes:
    video: Its record number.
    first: The first frame.
    stop: After the last frame.
    label: The class.
  """

  video: int
  first: int
  stop: int
  label: int


def parts_of(number: int, video: sources.Video, label: str) -> list[Part]:
  """The parts of a video by one of its labels, in order.

  Raises:
    DataError: If the video has no such label; the message lists those it has.
  """
  if label not in video.labels:
    raise DataError(
      f"{video.id}: has no label {label!r}; set config.retrieve.label to some "
      f"of: {', '.join(sorted(video.labels)) or '(there are none)'}"
    )
  segments = video.labels[label]
  stops = [first for first, _ in segments[1:]] + [video.num_frames]
  return [
    Part(number, first, stop, label_class)
    for (first, label_class), stop in zip(segments, stops, strict=True)
    if stop > first
  ]


@dataclasses.dataclass(frozen=True)
class CutParts(grain.transforms.Map):
  """Cuts evenly spread clips, centre window, out of every part of a video.

  Attributes:
    source: Of the videos.
    label: By which videos are parted.
    clips: Per part.
    frames: Per clip.
    stride: Source frames from one to the next.
    canvas: Side of the window.
  """

  source: sources.Source
  label: str
  clips: int
  frames: int
  stride: int
  canvas: int

  def map(self, number: int) -> tuple[list[Part], loader.Batch]:
    """The parts, and their clips, `self.clips` of each part in order.

    Returns:
      Parts; 'y' uint8 [parts · clips, 1, T, H, W] and 'uv' likewise.
    """
    video = self.source[int(number)]
    parts = parts_of(int(number), video, self.label)
    window = sampling.centre_window(video.height, video.width, self.canvas)

    def cut(part: Part, start: int) -> tuple[np.ndarray, np.ndarray]:
      indices = sampling.clip_indices(
        start, self.frames, self.stride, part.first, part.stop
      )
      return video.read(indices, window)

    frames = [
      cut(part, start)
      for part in parts
      for start in sampling.spread_starts(
        self.clips, self.frames, self.stride, part.first, part.stop
      )
    ]
    y, uv = zip(*frames, strict=True)
    # A view names its clip; here each has one.
    return parts, {"y": np.stack(y)[:, None], "uv": np.stack(uv)[:, None]}


def read_parts(
  source: sources.Source,
  data: ml_collections.ConfigDict,
  *,
  split: str,
  label: str,
  clips: int,
) -> Iterator[tuple[list[Part], loader.Batch]]:
  """What `CutParts` gives for every video of a split, in order.

  Raises:
    DataError: If the split is empty, or a video cannot be decoded: nothing is
      left out of an evaluation.
  """
  numbers = source.index.split(split)
  if not len(numbers):
    raise DataError(f"{data.path}: split {split!r} has no videos")
  cut = CutParts(source, label, clips, data.frames, data.stride, data.canvas)
  dataset = grain.MapDataset.source(numbers).map(cut)
  bytes_per_video = clips * data.frames * data.canvas**2 * 3 // 2
  return iter(
    loader.read_ahead(dataset, bytes_per_video, data.threads, data.workers)
  )


def rebatch(
  items: Iterator[loader.Batch], batch_size: int
) -> Iterator[tuple[loader.Batch, int]]:
  """Regroups arrays of any length into batches of one size.

  Args:
    items: Arrays with a leading axis of any length.
    batch_size: Wanted.

  Yields:
    A batch, and how many of its elements are real: the last one is filled up
    with repeats of its first.
  """
  held: list[loader.Batch] = []
  count = 0

  def join() -> loader.Batch:
    return {k: np.concatenate([item[k] for item in held]) for k in held[0]}

  for item in items:
    held.append(item)
    count += len(item["y"])
    while count >= batch_size:
      joined = join()
      yield {k: v[:batch_size] for k, v in joined.items()}, batch_size
      held = [{k: v[batch_size:] for k, v in joined.items()}]
      count -= batch_size
  if count:
    index = np.arange(batch_size) % count
    yield {k: v[index] for k, v in join().items()}, count
