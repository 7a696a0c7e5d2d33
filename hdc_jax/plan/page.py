"""Formats a plan as a page of text."""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hdc_jax.runs import text_table
from hdc_jax.runtime.slices import Slice

_WIDTH = 80
_GIB = 1 << 30
_MIB = 1 << 20


def format_record(record: Mapping[str, Any]) -> str:
  """Formats the record of a plan.

  Args:
    record: The record that `plan --json` writes.

  Returns:
    The text, wrapped to 80 columns.
  """
  return "\n".join(_lines(record))


def _lines(record: Mapping[str, Any]) -> Iterator[str]:
  """The lines of the page."""
  count, *shape = record["clips_per_video"], *record["clip"]
  yield (
    f"{record['method']} step of {record['model']}, {record['dtype']}: "
    f"{count} views of {'×'.join(map(str, shape))} of each video"
  )
  yield from textwrap.wrap(f"These are {record['estimates']}.", _WIDTH)
  for row in record["rows"]:
    yield ""
    hosts = f"{row['hosts']} host" + "s" * (row["hosts"] > 1)
    yield (
      f"{row['name']}: {row['device']}, {hosts}; "
      f"{row['batch_per_chip']} videos a chip, {row['batch_size']:,} a step"
    )
    for name, text in _facts(row, record):
      yield from textwrap.wrap(
        f"  {name:<11}{text}",
        _WIDTH,
        subsequent_indent=" " * 13,
        break_long_words=False,
        break_on_hyphens=False,
      )
  fitting = [row for row in record["rows"] if row["fits"]]
  if len(fitting) > 1:
    yield ""
    yield text_table.format_rows(_scaling(fitting))


def _facts(
  row: Mapping[str, Any], record: Mapping[str, Any]
) -> Iterator[tuple[str, str]]:
  """Name and text of each fact about one slice."""
  if row["fits"]:
    yield from _estimates(row, record)
  else:
    yield "memory", f"does not fit: {row['out_of_memory']}"
  if "largest_batch_per_chip" in row:
    yield (
      "largest",
      f"{row['largest_batch_per_chip']} videos a chip fit, "
      f"{row['too_large_batch_per_chip']} do not",
    )


def _estimates(
  row: Mapping[str, Any], record: Mapping[str, Any]
) -> Iterator[tuple[str, str]]:
  """Name and text of each estimate for a slice whose memory suffices."""
  memory, exchanged = row["hbm_bytes"], row["collective_bytes"]
  shares = ", ".join(
    f"{name} {size / _GIB:.2f}"
    for name, size in memory.items()
    if name not in ("total", "limit")
  )
  total, limit = memory["total"] / _GIB, memory["limit"] / _GIB
  yield "memory", f"fits: {total:.2f} of {limit:.2f} GiB a chip ({shares})"
  clock = Slice.parse(row["name"]).generation.clock_hz / 1e9
  yield (
    "step",
    f"{row['estimated_step_seconds'] * 1e3:,.1f} ms: "
    f"{row['estimated_cycles']:,} cycles at {clock:.2f} GHz",
  )
  yield (
    "speed",
    f"{row['videos_per_second_per_chip']:,.1f} videos/s a chip, "
    f"{row['videos_per_second']:,.0f} videos/s the slice",
  )
  yield (
    "compute",
    f"{row['flops_per_chip'] / 1e12:.2f} TFLOP a chip: "
    f"{row['estimated_utilisation']:.1%} of its peak",
  )
  exchanges = ", ".join(
    f"{kind} {size / _MIB:.2f}" for kind, size in exchanged.items()
  )
  yield (
    "exchange",
    f"{exchanges or 'nothing'} MiB a chip, of which keys "
    f"{row['key_bytes'] / _MIB:.2f} (reckoned): at least "
    f"{row['collective_seconds'] * 1e3:.2f} ms at the links' rate, besides",
  )
  if row["network_bytes"]:
    seconds = row["network_seconds"]
    rate = (
      f"at least {seconds * 1e3:.2f} ms at a chip's share of it, besides"
      if seconds is not None
      else "whose rate is not published"
    )
    yield (
      "network",
      f"{row['network_bytes'] / _MIB:.2f} MiB a chip to the other slices: "
      f"{rate}",
    )
  yield (
    "feeding",
    f"{row['cores_per_host']} cores a host for {row['processes_per_host']} "
    f"process{'es' * (row['processes_per_host'] > 1)}, like one here that cuts "
    f"{record['clips_per_second_per_core']:.0f} clips/s (measured with "
    f"{record['clips_measured_on']}, on {record['host']})",
  )
  for i, operation in enumerate(row["operations"]):
    share = f"{operation['cycles'] / row['estimated_cycles']:.1%}"
    yield "" if i else "costliest", f"{share:>9}  {_module(operation)}"
  for i, operation in enumerate(row["uncounted"]):
    size = f"{operation['bytes'] / _MIB:.0f} MiB"
    module = f"{_module(operation)} ({operation['opcode']})"
    yield "" if i else "uncounted", f"{size:>9}  {module}"


def _module(operation: Mapping[str, Any]) -> str:
  """The pass and the module of an operation."""
  direction = "backward" if operation["backward"] else "forward"
  return f"{direction:<8}  {operation['name'] or '(unnamed)'}"


def _scaling(slices: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
  """Rows that show how cycles grow from the first slice to the others."""
  first = slices[0]["estimated_cycles"]
  return [
    {
      "name": row["name"],
      "slice": row["name"],
      "videos_a_step": row["batch_size"],
      "ms_a_step": row["estimated_step_seconds"] * 1e3,
      "cycles": row["estimated_cycles"],
      "growth_%": 100.0 * (row["estimated_cycles"] / first - 1),
      "videos/s": row["videos_per_second"],
      "gathered_MiB": row["collective_bytes"].get("all-gather", 0) / _MIB,
    }
    for row in slices
  ]
