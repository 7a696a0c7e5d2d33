"""Parts of videos: what evaluations look at, each with one class.

A part is the longest stretch of a video over which a label keeps its class. A
label of the whole video makes one part of it; a label that changes with time,
such as the scene, makes several.
"""

from typing import NamedTuple

from hdc_jax.data import sources
from hdc_jax.errors import DataError


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
