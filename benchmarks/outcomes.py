"""Reads the contents of datasets and runs as arrays, and compares them.

The package's own readers are not used, so that they cannot hide a difference.
"""

import json
import pathlib

import jax
import numpy as np
import orbax.checkpoint as ocp
from etils import epath

ARRAYS, LOSSES, RESULTS, SHARDS = "arrays", "losses", "results", "shards"

# Values by kind and name.
Outcome = dict[tuple[str, str], np.ndarray]


def read_shards(directory: pathlib.Path) -> Outcome:
  """Reads the bytes of a dataset's shards.

  Args:
    directory: Directory of the dataset.
  """
  return {
    (SHARDS, path.name): np.frombuffer(path.read_bytes(), np.uint8)
    for path in sorted(directory.glob("*.array_record"))
  }


def read_run(directory: pathlib.Path) -> Outcome:
  """Reads everything that a run computed.

  Args:
    directory: Directory of the run; directories below it are read too.

  Returns:
    The arrays of the newest checkpoints and of .npz files; the losses of
    metrics.jsonl and the numbers in the rows of result.json, float64 scalars.
  """
  outcome: Outcome = {}
  for path in sorted(directory.rglob("checkpoints")):
    newest = max(path.iterdir(), key=lambda step: int(step.name))
    for name, value in read_checkpoint(newest / "state").items():
      outcome[ARRAYS, f"{newest.relative_to(directory)} {name}"] = value
  for path in sorted(directory.rglob("*.npz")):
    with np.load(path) as file:
      for name, value in file.items():
        outcome[ARRAYS, f"{path.relative_to(directory)} {name}"] = value
  for path in sorted(directory.rglob("metrics.jsonl")):
    for line in map(json.loads, path.read_text().splitlines()):
      name = f"{path.relative_to(directory)} step {line['step']}"
      outcome[LOSSES, name] = np.asarray(line["loss"], np.float64)
  for path in sorted(directory.rglob("result.json")):
    for i, row in enumerate(json.loads(path.read_text()).get("rows", ())):
      for column, value in row.items():
        if isinstance(value, int | float):
          name = f"{path.relative_to(directory)} row {i} {column}"
          outcome[RESULTS, name] = np.asarray(value, np.float64)
  return outcome


def read_checkpoint(directory: pathlib.Path) -> dict[str, np.ndarray]:
  """Reads the arrays of a tree that Orbax saved, by dotted name.

  Args:
    directory: Directory of the tree.
  """
  handler, path = ocp.PyTreeCheckpointHandler(), epath.Path(directory)
  as_numpy = jax.tree.map(
    lambda _: ocp.RestoreArgs(restore_type=np.ndarray),
    handler.metadata(path).tree,
  )
  restored = handler.restore(
    path, args=ocp.args.PyTreeRestore(restore_args=as_numpy)
  )
  return {
    jax.tree_util.keystr(key, simple=True, separator="."): value
    for key, value in jax.tree_util.tree_leaves_with_path(restored)
  }


def differences(before: Outcome, after: Outcome) -> list[str]:
  """Lists the values that differ in dtype, shape or any byte.

  Args:
    before: Values of one side.
    after: Values of the other side.

  Returns:
    A line for each value that differs or that only one side has; of those that
    differ in bytes only, the largest difference first.
  """
  lines = [
    f"{name}: only {side}"
    for side, mine, other in (
      ("before", before, after),
      ("after", after, before),
    )
    for kind, name in mine
    if (kind, name) not in other
  ]
  changes: list[tuple[float, str]] = []
  for key in before.keys() & after.keys():
    a, b = before[key], after[key]
    if (a.dtype, a.shape) != (b.dtype, b.shape):
      lines.append(
        f"{key[1]}: {a.dtype}{list(a.shape)} before, "
        f"{b.dtype}{list(b.shape)} after"
      )
    elif a.tobytes() != b.tobytes():
      largest = _largest_difference(a, b)
      extent = f" by up to {largest:.3g}" if np.isfinite(largest) else ""
      changes.append((largest, f"{key[1]}: differs{extent}"))
  return lines + [text for _, text in sorted(changes, reverse=True)]


def _largest_difference(a: np.ndarray, b: np.ndarray) -> float:
  """The largest absolute difference; infinite for text or if one is NaN."""
  if a.dtype.kind not in "biufV":  # V: bfloat16
    return np.inf
  difference = np.abs(a.astype(np.float64) - b.astype(np.float64))
  return float(np.nan_to_num(difference, nan=np.inf).max())


def count(outcome: Outcome) -> str:
  """Counts the values of each kind, as in '85 arrays and 20 losses'.

  Args:
    outcome: The values.
  """
  kinds = [kind for kind, _ in outcome]
  counts = [f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds)]
  return " and ".join(counts) or "no values"
