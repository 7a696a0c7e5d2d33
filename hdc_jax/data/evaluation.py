"""Clips to evaluate on: of every video, or of every part of one.

A part is the longest stretch of a video over which a label keeps its class. A
label of the whole video makes one part of it; a label that changes with time,
such as the scene, makes several.
"""

import dataclasses
import itertools
from collections.abc import Iterator
from typing import NamedTuple, Protocol

import grain
import ml_collections
import numpy as np

from hdc_jax import config as config_lib
from hdc_jax.data import loader, sampling, sources
from hdc_jax.data.codec import Frames, Window
from hdc_jax.errors import ConfigError, DataError


class Part(NamedTuple):
  """A stretch of a video with one class.

  Attributes:
    video: Its record number.
    first: The first frame.
    stop: After the last frame.
    label: The class; -1 where there is no label.
  """

  video: int
  first: int
  stop: int
  label: int


def parts_of(number: int, video: sources.Video, label: str) -> list[Part]:
  """The parts of a video by one of its labels, in order.

  Args:
    number: Of its record.
    video: Itself.
    label: Name of a label; '' for the whole video as it is.

  Raises:
    DataError: If the video has no such label; the message lists those it has.
  """
  if not label:
    return [Part(number, 0, video.num_frames, -1)]
  if label not in video.labels:
    raise DataError(
      f"{video.id}: has no label {label!r}, but "
      f"{', '.join(sorted(video.labels)) or 'none'}: choose another split "
      "(that of a test without labels?) or config.data.labels"
    )
  segments = video.labels[label]
  stops = [first for first, _ in segments[1:]] + [video.num_frames]
  return [
    Part(number, first, stop, label_class)
    for (first, label_class), stop in zip(segments, stops, strict=True)
    if stop > first
  ]


def crop_windows(
  height: int, width: int, size: int, crops: str
) -> tuple[Window, ...]:
  """Squares of a frame, at even offsets as half-size chroma needs.

  Args:
    height: Of the frame, even.
    width: Of the frame, even.
    size: Of the squares, even, at most the shorter side.
    crops: 'centre'; 'three' along the longer side (CVRL); or 'five': the centre
      and the corners, from top left in reading order (HDC).
  """
  centre = sampling.centre_window(height, width, size)
  bottom, right = height - size, width - size
  offsets = {
    "centre": [(centre.top, centre.left)],
    "three": (
      [(centre.top, left) for left in (0, centre.left, right)]
      if width >= height
      else [(top, centre.left) for top in (0, centre.top, bottom)]
    ),
    "five": [
      (centre.top, centre.left),
      *itertools.product((0, bottom), (0, right)),
    ],
  }[crops]
  return tuple(Window(top, left, size, size) for top, left in offsets)


CROPS = {"centre": 1, "three": 3, "five": 5}

# The start of a clip, and the windows of its frames.
Cuts = list[tuple[int, tuple[Window, ...]]]


class Looks(Protocol):
  """Which clips of a part to look at, and where.

  Attributes:
    frames: Per clip.
    stride: Source frames from one to the next.
    size: Of the windows.
    estimate: How many windows a part is expected to have.
  """

  frames: int
  stride: int
  size: int
  estimate: int

  def cuts(self, part: Part, height: int, width: int) -> Cuts:
    """Those of a part of a video with frames of this size."""
    ...


@dataclasses.dataclass(frozen=True)
class FixedLooks:
  """Fixed clips, evenly spread or as many as fit, in fixed crops.

  Attributes:
    frames: See `Looks`, as the next two.
    stride: See above.
    size: See above.
    clips: Per part; 0 for all that fit without overlap (at least one: a part
      shorter than a clip is looped), from the first frame on.
    crops: See `crop_windows`.
  """

  frames: int
  stride: int
  size: int
  clips: int
  crops: str

  @property
  def estimate(self) -> int:
    """See `Looks`; 300 frames are the ten seconds of Kinetics."""
    dense = max(1, 300 // sampling.clip_span(self.frames, self.stride))
    return (self.clips or dense) * CROPS[self.crops]

  def cuts(self, part: Part, height: int, width: int) -> Cuts:
    """See `Looks`."""
    stretch = self.frames, self.stride, part.first, part.stop
    starts = (
      sampling.spread_starts(self.clips, *stretch)
      if self.clips
      else sampling.dense_starts(*stretch)
    )
    windows = crop_windows(height, width, self.size, self.crops)
    return [(start, windows) for start in starts]


@dataclasses.dataclass(frozen=True)
class RandomLooks:
  """Random clips in random windows, a function of seed and part alone.

  Attributes:
    frames: See `Looks`, as the next two.
    stride: See above.
    size: See above.
    clips: Per part.
    seed: Of the draws.
  """

  frames: int
  stride: int
  size: int
  clips: int
  seed: int

  @property
  def estimate(self) -> int:
    """See `Looks`."""
    return self.clips

  def cuts(self, part: Part, height: int, width: int) -> Cuts:
    """See `Looks`."""
    rng = np.random.default_rng((self.seed, part.video, part.first))
    length = part.stop - part.first

    def cut() -> tuple[int, tuple[Window, ...]]:
      start = sampling.random_start(rng, length, self.frames, self.stride)
      window = sampling.random_window(rng, height, width, self.size)
      return part.first + start, (window,)

    return [cut() for _ in range(self.clips)]


def fixed_looks(
  config: ml_collections.ConfigDict, source: sources.Source
) -> FixedLooks:
  """What `config.test` describes.

  Raises:
    ConfigError: Naming the field that does not fit the dataset.
  """
  data, options = config.data, config.test
  loader.check_frames(data)
  config_lib.choose("config.test.crops", options.crops, CROPS)
  if options.clips < 0:
    raise ConfigError(f"config.test.clips={options.clips} is negative")
  field = "test.size" if options.size else "model.size"
  size = options.size or config.model.size
  if not 2 <= size <= source.index.short_side or size % 2:
    raise ConfigError(
      f"config.{field}={size} must be even and at most the short side of the "
      f"frames, {source.index.short_side}; prepare with a larger --short_side, "
      "or lower it"
    )
  return FixedLooks(
    data.frames, data.stride, size, options.clips, options.crops
  )


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

  def map(self, number: int) -> loader.Batch:
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
) -> Iterator[loader.Batch]:
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
  items: Iterator[loader.Batch], batch_size: int
) -> Iterator[tuple[loader.Batch, int]]:
  """Regroups arrays of any length into batches of one size.

  Args:
    items: Arrays with a leading axis of any length, not zero.
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


def split_names(
  config: ml_collections.ConfigDict, source: sources.Source
) -> dict[str, tuple[str, str]]:
  """The divisions of a dataset into train and test to evaluate on.

  Args:
    config: `data.split`, `test.split` and `data.folds` are used.
    source: Of the videos.

  Returns:
    By a suffix such as '1', or '' where there is but one division, the names of
    the splits to train on (or to search) and to test on.

  Raises:
    ConfigError: If there are no such splits; the message lists those there are.
  """
  train, test = config.data.split, config.test.split
  splits = source.index.splits
  if train in splits and test in splits:
    return {"": (train, test)}
  folds = config.data.folds or [
    number
    for number in itertools.takewhile(
      lambda n: f"{train}{n}" in splits, itertools.count(1)
    )
  ]
  for number in folds:
    for split in (train, test):
      source.index.split(f"{split}{number}")
  if not folds:
    for split in (train, test):
      source.index.split(split)
  return {str(n): (f"{train}{n}", f"{test}{n}") for n in folds}


def chosen_labels(
  config: ml_collections.ConfigDict, source: sources.Source
) -> tuple[str, ...]:
  """Those of `config.data.labels`, or all that the dataset has.

  Raises:
    ConfigError: If there is no such label; the message lists those there are.
    DataError: If the dataset has none at all.
  """
  names = source.index.labels
  if not names:
    raise DataError(
      f"{config.data.path}: its videos have no labels to evaluate by; prepare "
      "them from sub-folders, one for each class"
    )
  for label in config.data.labels:
    config_lib.choose("config.data.labels", label, names)
  return tuple(config.data.labels) or tuple(names)
