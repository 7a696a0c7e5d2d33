"""The summary of a prepared dataset, printed at the end."""

import collections
import statistics
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from etils import epath

from hdc_jax.data.datasets import Listing, discovery
from hdc_jax.data.store.index import Index
from hdc_jax.prepare.shards import Sidecar

_LONG = 10  # times the median length, from which on a video is long
_MAX_CLASSES_SHOWN = 20  # where there are more, only the extremes are shown
_TOTALS = ("videos", "classes")  # entries of `Index.official` besides splits


def describe(
  directory: epath.Path,
  index: Index,
  sidecars: Sequence[Sidecar],
  listing: Listing,
  deinterlace: bool = False,
  segment: float = 0.0,
) -> str:
  """Describes what a prepared dataset holds, and what was left out.

  Args:
    directory: Directory of the dataset.
    index: Index of the dataset.
    sidecars: Sidecars of all its shards, which count frames and classes.
    listing: Listing that the dataset was made of.
    deinterlace: Whether interlaced frames were deinterlaced.
    segment: Length of the parts into which long videos were cut, in seconds; 0
      for none.

  Returns:
    Lines of text: totals, the spread of the originals, splits and labels, with
    the official numbers where there are some, and every file that was left out
    with its reason.
  """

  def official(name: str) -> str:
    """The number that the authors of the dataset state, in parentheses."""
    known = index.official.get(name)
    return "" if known is None else f" (official: {known:,})"

  size = sum(shard.bytes for shard in index.shards)
  frames = sum(sidecar.num_frames for sidecar in sidecars)
  lines = [
    f"prepared {directory}",
    f"  {index.num_videos:,} videos{official('videos')}, "
    f"{frames:,} frames, {size:,} bytes ({size / frames:,.0f} a frame) in "
    f"{len(index.shards)} shards",
    *_describe_parts(index, listing, segment),
    *_describe_originals(sidecars, deinterlace, segment),
    *_describe_generated(index.generated),
  ]
  for split in dict.fromkeys([*index.official, *index.splits]):
    if split not in _TOTALS:
      count = sum(b - a for a, b in index.splits.get(split, ()))
      lines.append(f"  split {split}: {count:,} videos{official(split)}")
  for label, names in index.labels.items():
    counts = collections.Counter()
    for sidecar in sidecars:
      counts.update(sidecar.classes.get(label, {}))
    lines += _describe_label(label, names, counts, official("classes"))
  for tag, names in index.tags.items():
    lines.append(f"  tag {tag}: {len(names)} classes{official('classes')}")
  lines += [f"  {note}" for note in listing.notes]
  lines += [
    f"  {_describe_left_out(reason, paths)}, see {directory / reason}.txt"
    for reason, paths in listing.left_out.items()
  ]
  if index.skipped:
    lines.append(f"  could not be used: {len(index.skipped):,}")
    lines += [f"    {skipped['reason']}" for skipped in index.skipped]
  return "\n".join(lines)


def _describe_left_out(reason: str, paths: Sequence[str]) -> str:
  """Counts what was left out for a reason; files in the source by extension."""
  if reason not in discovery.REASONS:
    return f"{reason}: {len(paths):,} videos"
  kinds = discovery.describe_kinds(paths)
  return f"{reason.replace('_', ' ')}: {kinds}"


def _describe_originals(
  sidecars: Sequence[Sidecar], deinterlace: bool, segment: float
) -> list[str]:
  """The lines on the rates, lengths and sizes of the original videos.

  Args:
    sidecars: Sidecars of all shards.
    deinterlace: Whether interlaced frames were deinterlaced.
    segment: Length of the parts into which long videos were cut, if they were.
  """
  columns = collections.defaultdict(list)
  for sidecar in sidecars:
    for name, values in sidecar.originals.items():
      columns[name] += values
  rates, frames = columns["fps"], columns["frames"]
  lengths = [n / rate for n, rate in zip(frames, rates, strict=True)]
  sizes = list(zip(columns["width"], columns["height"], strict=True))
  by_area = sorted(sizes, key=lambda size: (size[0] * size[1], size))
  lines = [
    f"  frame rates: {_spread(sorted(rates), '{:.4g}', 'fps')}",
    f"  lengths: {_spread(sorted(lengths), '{:.1f}', 's')}; "
    f"{_spread(sorted(frames), '{:,}', 'frames')}",
    f"  original sizes: {_spread(by_area, '{0[0]}×{0[1]}', 'pixels')}",
  ]
  if not segment and max(lengths) > _LONG * statistics.median(lengths):
    lines.append(
      f"  some are more than {_LONG} times as long as most, but drawn no more "
      "often: see --segment"
    )
  interlaced = sum(columns["interlaced"])
  if interlaced:
    what = "deinterlaced" if deinterlace else "combed, see --deinterlace"
    lines.append(f"  interlaced: {interlaced:,} videos, {what}")
  return lines


def _describe_parts(
  index: Index, listing: Listing, segment: float
) -> list[str]:
  """The line on long videos that were cut, if they were asked to be."""
  if not segment:
    return []
  files = len(listing.videos) - len(index.skipped)
  return [
    f"  cut into parts of {segment:g} s: {files:,} files gave "
    f"{index.num_videos:,} videos; lengths are those of the parts"
  ]


def _describe_generated(options: Mapping[str, Any]) -> list[str]:
  """The line on the options of generated videos, if they are such."""
  if not options:
    return []
  return ["  generated: " + ", ".join(f"{k} {v}" for k, v in options.items())]


def _spread(values: Sequence[Any], form: str, unit: str) -> str:
  """Describes sorted values: the least, the greatest and the median."""
  middle = values[(len(values) - 1) // 2]
  least, greatest, median = map(form.format, (values[0], values[-1], middle))
  if least == greatest:
    return f"{least} {unit}"
  return f"{least} to {greatest} {unit}, median {median}"


def _describe_label(
  label: str, names: Sequence[str], counts: Mapping[str, int], official: str
) -> list[str]:
  """The lines on one label.

  Args:
    label: Name of the label.
    names: Names of its classes, by class.
    counts: Number of videos that show each class, by its number as text.
    official: Official number of classes, as text.
  """
  videos = [counts.get(str(i), 0) for i in range(len(names))]
  head = f"  label {label}: {len(names)} classes{official}"
  if len(names) > _MAX_CLASSES_SHOWN:
    return [f"{head}, each in {min(videos):,} to {max(videos):,} videos"]
  shown = zip(names, videos, strict=True)
  text = ", ".join(f"{name} {count:,}" for name, count in shown)
  return [
    f"{head}, in so many videos:",
    *textwrap.wrap(text, 80, initial_indent="    ", subsequent_indent="    "),
  ]
