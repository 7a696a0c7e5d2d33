"""Cuts evaluation clips out of every segment of videos, and batches them."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import grain
import numpy as np

from hdc_jax.data import sources
from hdc_jax.data.clips import filling, order, sampling, training_clips
from hdc_jax.data.clips.conditions import Change
from hdc_jax.data.clips.placement import Placement
from hdc_jax.data.labels.segments import Segment, segments_of
from hdc_jax.data.options import Loading
from hdc_jax.data.video.codec import Frames, Window
from hdc_jax.errors import DataError

# What a video has instead of clips if it cannot be decoded: the reason.
BAD = "bad"
# The items of a video that are not for devices.
ABOUT = ("id", "group", "tags")
# The fields that identify a clip: those of its segment, and the number of the
# clip within the segment. In a batch, each field is an array int32 [n].
ADDRESS = (*Segment._fields, "clip")


@dataclasses.dataclass(frozen=True)
class CutSegments(grain.transforms.Map):
  """Cuts the clips out of every segment of a video.

  Attributes:
    source: The videos.
    label: Name of the label by which videos are divided, see `segments_of`.
    placement: Which clips are cut.
    change: How all clips are changed; None for not at all.
  """

  source: sources.Source
  label: str
  placement: Placement
  change: Change | None = None

  # Grain does not annotate what is overridden here.
  # pyrefly: ignore[bad-override]
  def map(self, element: Any) -> training_clips.Batch:
    """Cuts the clips of a video, one for each window.

    Args:
      element: Record number of the video.

    Returns:
      'id' str; 'group' str; 'tags' int32 [classes that it shows], none without
      a tag; each field of `ADDRESS`, int32 [n]; 'y' uint8 [n, T, S, S]; 'uv'
      uint8 [n, T, S/2, S/2, 2]; and, if the placement pads, 'extent' int32
      [n, 2], height and width of the picture in its canvas. Of a video that
      cannot be decoded only `BAD`, a str.

    Raises:
      DataError: If the video has no such label.
    """
    try:
      video = self.source[int(element)]
    except DataError as error:
      return {BAD: np.array(str(error))}
    segments = segments_of(int(element), video, self.label)
    addresses, clips = [], []
    try:
      for segment in segments:
        cut = [clip._asdict() for clip in self.cut(video, segment)]
        if self.placement.padded:
          cut = [training_clips.pad(clip, self.placement.size) for clip in cut]
        addresses += [(*segment, i) for i in range(len(cut))]
        clips += cut
    except DataError as error:
      return {BAD: np.array(str(error))}
    columns = np.array(addresses, np.int32).T
    named = dict(zip(ADDRESS, columns, strict=True))
    planes = {name: np.stack([c[name] for c in clips]) for name in clips[0]}
    about = {
      "id": np.array(video.id),
      "group": np.array(video.group),
      "tags": np.array(video.tags.get(self.label, ()), np.int32),
    }
    return about | named | planes

  def cut(self, video: sources.Video, segment: Segment) -> list[Frames]:
    """Cuts the clips of a segment, one for each window, and changes them.

    Args:
      video: The video.
      segment: A segment of it.

    Raises:
      DataError: If a video cannot be decoded.
    """

    def cut_other(other: Segment) -> list[Frames]:
      return self._cut(self.source[other.video], other)

    clips = self._cut(video, segment)
    if self.change is None:
      return clips
    return self.change.apply(clips, segment, cut_other)

  def _cut(self, video: sources.Video, segment: Segment) -> list[Frames]:
    placement = self.placement.at_rate_of(video)
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
      else:  # decode the frames once for all windows
        frames = video.read(indices, whole)
        clips += [_crop(frames, window) for window in windows]
    return clips


def _crop(frames: Frames, window: Window) -> Frames:
  """Cuts a window, which has even offsets and sides, out of whole frames."""
  top, left, height, width = window
  rows, columns = slice(top, top + height), slice(left, left + width)
  half_rows = slice(top // 2, (top + height) // 2)
  half_columns = slice(left // 2, (left + width) // 2)
  return Frames(
    frames.y[:, rows, columns], frames.uv[:, half_rows, half_columns]
  )


def read_clips(
  source: sources.Source,
  records: np.ndarray,
  loading: Loading,
  *,
  label: str,
  placement: Placement,
  change: Change | None = None,
) -> Iterator[training_clips.Batch]:
  """Reads the clips of each video, in order.

  Args:
    source: The videos.
    records: Record numbers of the videos to read, int64 [N].
    loading: Threads and processes that decode.
    label: Name of the label by which videos are divided into segments; '' for
      none.
    placement: Which clips are cut.
    change: How all clips are changed; None for not at all.

  Returns:
    An iterator over one batch for each video, see `CutSegments.map`.

  Raises:
    DataError: If a video has no such label.
  """
  cut = CutSegments(source, label, placement, change)
  dataset = order.record_numbers(records).map(cut)
  frame_bytes = placement.size**2 * 3 // 2
  video_bytes = placement.estimate * placement.frames * frame_bytes
  return filling.read_ahead(dataset, video_bytes, loading)


def padding(placement: Placement, batch_size: int) -> training_clips.Batch:
  """Makes a batch like those of `rebatch`, in which every clip is padding.

  Args:
    placement: The shape of the clips.
    batch_size: Number of clips.
  """
  n, t, side = batch_size, placement.frames, placement.size
  batch: training_clips.Batch = {
    name: np.zeros(n, np.int32) for name in ADDRESS
  } | {
    "y": np.zeros((n, t, side, side), np.uint8),
    "uv": np.zeros((n, t, side // 2, side // 2, 2), np.uint8),
    "mask": np.zeros(n, bool),
  }
  if placement.padded:
    batch["extent"] = np.full((n, 2), side, np.int32)
  return batch


def rebatch(
  items: Iterator[training_clips.Batch], batch_size: int
) -> Iterator[training_clips.Batch]:
  """Regroups arrays of any length into batches of one size.

  Args:
    items: Arrays by name, whose leading axes have one length, not zero.
    batch_size: Number of elements in each batch.

  Yields:
    Batches with 'mask', bool [batch_size], which is True for real elements. The
    last batch is filled up by repeating its elements; 'mask' is False for the
    repetitions.
  """
  held: list[training_clips.Batch] = []
  count = 0

  def join() -> training_clips.Batch:
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
