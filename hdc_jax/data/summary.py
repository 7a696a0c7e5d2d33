"""What `prepare` says at the end."""

import collections
import textwrap
from collections.abc import Mapping, Sequence

from etils import epath

from hdc_jax.data.records import Index
from hdc_jax.data.shards import Sidecar

_MAX_CLASSES_SHOWN = 20  # one by one; of more, only the extremes


def describe(
  directory: epath.Path,
  index: Index,
  sidecars: Sequence[Sidecar],
) -> str:
  """What a prepared dataset holds, and what it does not, in lines of text.

  Args:
    directory: of the dataset.
    index: its index.
    sidecars: of its shards, which count the classes.

  Returns:
    Totals, splits and labels, and every file that was left out and why.
  """
  size = sum(shard.bytes for shard in index.shards)
  lines = [
    f"prepared {directory}",
    f"  {index.num_videos:,} videos, {index.num_frames:,} frames, "
    f"{size:,} bytes ({size / index.num_frames:,.0f} a frame) in "
    f"{len(index.shards)} shards",
  ]
  lines += [
    f"  split {split}: {len(index.split(split)):,} videos"
    for split in index.splits
  ]
  for label, names in index.labels.items():
    counts = collections.Counter()
    for sidecar in sidecars:
      counts.update(sidecar.classes.get(label, {}))
    lines += _describe_label(label, names, counts)
  if index.skipped:
    lines.append(f"  could not be used: {len(index.skipped):,}")
    lines += [f"    {skipped['reason']}" for skipped in index.skipped]
  return "\n".join(lines)


def _describe_label(
  label: str, names: Sequence[str], counts: Mapping[str, int]
) -> list[str]:
  videos = [counts.get(str(i), 0) for i in range(len(names))]
  head = f"  label {label}: {len(names)} classes"
  if len(names) > _MAX_CLASSES_SHOWN:
    return [f"{head}, each in {min(videos):,} to {max(videos):,} videos"]
  shown = zip(names, videos, strict=True)
  text = ", ".join(f"{name} {count:,}" for name, count in shown)
  return [
    f"{head}, in so many videos:",
    *textwrap.wrap(text, 80, initial_indent="    ", subsequent_indent="    "),
  ]
