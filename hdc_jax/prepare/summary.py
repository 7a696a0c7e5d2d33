"""What `prepare` says at the end."""

import collections
import textwrap
from collections.abc import Mapping, Sequence

from etils import epath

from hdc_jax.data.store.index import Index
from hdc_jax.prepare.shards import Sidecar

_MAX_CLASSES_SHOWN = 20  # one by one; of more, only the extremes
_TOTALS = ("videos", "classes")  # in `Index.official`, beside the splits


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
    Totals, splits and labels, beside the official numbers where there are
    some, and every file that was left out and why.
  """

  def official(name: str) -> str:
    """What the authors of the dataset count, to be set behind a number."""
    known = index.official.get(name)
    return "" if known is None else f" (official: {known:,})"

  size = sum(shard.bytes for shard in index.shards)
  lines = [
    f"prepared {directory}",
    f"  {index.num_videos:,} videos{official('videos')}, "
    f"{index.num_frames:,} frames, "
    f"{size:,} bytes ({size / index.num_frames:,.0f} a frame) in "
    f"{len(index.shards)} shards",
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
  lines += [
    f"  {why}: {count:,} videos, see {directory / why}.txt"
    for why, count in index.left_out.items()
  ]
  if index.skipped:
    lines.append(f"  could not be used: {len(index.skipped):,}")
    lines += [f"    {skipped['reason']}" for skipped in index.skipped]
  return "\n".join(lines)


def _describe_label(
  label: str, names: Sequence[str], counts: Mapping[str, int], official: str
) -> list[str]:
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
