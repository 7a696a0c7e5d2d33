"""Segments of videos: the units of evaluations, each with one class.

A segment is the longest stretch of a video over which a label keeps its class.
A label of the whole video makes one segment of it; a label that changes with
time, such as the scene, makes several. A tag makes one segment of the video.
"""

from typing import NamedTuple

from hdc_jax.data import sources
from hdc_jax.errors import DataError


class Segment(NamedTuple):
  """A stretch of a video with one class.

  Attributes:
    video: Record number of the video.
    first: The first frame.
    stop: The frame after the last.
    label: The class; -1 where there is no label, but perhaps a tag.
  """

  video: int
  first: int
  stop: int
  label: int


def segments_of(number: int, video: sources.Video, label: str) -> list[Segment]:
  """The segments of a video by one of its labels, in order.

  Args:
    number: Record number of the video.
    video: The video.
    label: Name of a label or a tag; '' for one segment of the whole video,
      without a class.

  Raises:
    DataError: If the video has no such label or tag; the message lists those
      that it has.
  """
  if not label or (label in video.tags and label not in video.labels):
    return [Segment(number, 0, video.num_frames, -1)]
  if label not in video.labels:
    raise DataError(
      f"{video.id}: has no label {label!r}, but "
      f"{', '.join(sorted((*video.labels, *video.tags))) or 'none'}: choose "
      "another split (that of a test without labels?) or other labels"
    )
  segments = video.labels[label]
  stops = [min(first, video.num_frames) for first, _ in segments[1:]]
  stops.append(video.num_frames)
  return [
    Segment(number, first, stop, label_class)
    for (first, label_class), stop in zip(segments, stops, strict=True)
    if stop > first
  ]
