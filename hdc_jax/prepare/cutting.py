"""Cuts long videos into several, each a video of the dataset in its own right.

Every video is drawn once an epoch, so that most of one of two hours is never
seen beside others of ten seconds. Its parts are drawn as often as its length
says, and no batch holds one of them twice.
"""

import dataclasses
from collections.abc import Iterator

from hdc_jax.data.datasets import Listing, VideoFile
from hdc_jax.data.store import records
from hdc_jax.data.store.records import Record, Segments
from hdc_jax.data.video import encoder
from hdc_jax.data.video.codec import Encoded


def with_groups(listing: Listing) -> Listing:
  """Puts videos that have no group into one of their own, with their parts.

  Args:
    listing: The files that are to be cut.

  Returns:
    The listing, in which each file has a group, by default its id.
  """
  videos = [
    dataclasses.replace(file, group=file.group or file.id)
    for file in listing.videos
  ]
  return dataclasses.replace(listing, videos=videos)


def cut(
  file: VideoFile, encoded: Encoded, seconds: float
) -> list[tuple[Record, list[bytes]]]:
  """Makes the records of a file.

  Args:
    file: The file.
    encoded: Its frames.
    seconds: Length of the parts of a long video, in seconds; 0 to leave it
      whole.

  Returns:
    The record and the chunks of each video: one, with the id of the file; or
    the parts, with ids such as 'a.mp4#0-59.95', which are the seconds.
  """
  bounds = _bounds(encoded, seconds)
  made = []
  for first, stop in bounds:
    name = file.id
    if len(bounds) > 1:
      begin, end = (round(n / encoded.fps, 2) for n in (first, stop))
      name = f"{name}#{begin:.10g}-{end:.10g}"
    labels = {
      label: _between(segments, first, stop)
      for label, segments in file.labels.items()
    }
    part = _part(encoded, first, stop)
    made.append(records.cut(name, labels, part, file.tags, file.group))
  return made


def _bounds(encoded: Encoded, seconds: float) -> list[tuple[int, int]]:
  """First frames of the parts of a video, and those after their last."""
  groups = max(1, encoded.num_frames // encoder.GOP)
  # Parts of about equal length, so that no rest is shorter than a clip.
  count = 1
  if seconds:
    length = encoded.num_frames / encoded.fps
    count = max(1, min(round(length / seconds), groups))
  starts = [groups * i // count * encoder.GOP for i in range(count)]
  return list(zip(starts, [*starts[1:], encoded.num_frames], strict=True))


def _between(segments: Segments, first: int, stop: int) -> Segments:
  """The classes of a label from one frame to another."""

  def shown() -> Iterator[tuple[int, int]]:
    yield 0, records.label_at(segments, first)
    for start, label in segments:
      if first < start < stop:
        yield start - first, label

  return tuple(shown())


def _part(encoded: Encoded, first: int, stop: int) -> Encoded:
  """Takes a stretch out of a video, without decoding."""
  begin, end = encoded.offsets[first], encoded.offsets[stop]
  return dataclasses.replace(
    encoded,
    packets=encoded.packets[begin:end],
    offsets=encoded.offsets[first : stop + 1] - begin,
    keyframes=encoded.keyframes[first:stop],
    disposable=encoded.disposable[first:stop],
  )
