"""Compares checkpoints with their manifests, and chooses one that is whole."""

import logging
from collections.abc import Sequence

from etils import epath

from hdc_jax.checkpoints import directory, manifest
from hdc_jax.errors import DataError

_log = logging.getLogger(__name__)


def newest_whole(
  path: epath.Path, steps: Sequence[int], set_aside: bool
) -> int | None:
  """The newest step whose files are as they were written.

  Args:
    path: Directory of the checkpoints.
    steps: Steps of the finished checkpoints, in ascending order.
    set_aside: Whether newer checkpoints, which are damaged, are renamed.

  Returns:
    The step; None if there are no checkpoints.

  Raises:
    DataError: If all checkpoints are damaged; none is renamed then.
    StorageError: If the storage fails.
  """
  damaged: dict[int, manifest.DamagedError] = {}
  for step in reversed(steps):
    try:
      _compare(path / str(step))
    except manifest.DamagedError as error:
      damaged[step] = error
      continue
    for newer, error in damaged.items():
      _replace(path / str(newer), error, step, set_aside)
    return step
  if not damaged:
    return None
  step, error = next(iter(damaged.items()))
  raise DataError(
    f"{path / str(step)} is damaged: {error}; no older checkpoint of the run "
    "is whole either: use another run, or begin anew in another directory"
  ) from error


def require(
  path: epath.Path, step: int, steps: Sequence[int], item: str = ""
) -> None:
  """Checks that a checkpoint is whole.

  Args:
    path: Directory of the checkpoints.
    step: Step of the checkpoint.
    steps: Steps of all finished checkpoints.
    item: Name of the only subdirectory to verify; '' for all files.

  Raises:
    DataError: If it is damaged; names the others.
    StorageError: If the storage fails.
  """
  try:
    _compare(path / str(step), item)
  except manifest.DamagedError as error:
    others = ", ".join(str(other) for other in steps if other != step)
    raise DataError(
      f"{path / str(step)} is damaged: {error}; name another checkpoint of the "
      f"run: {others or 'there is none'}"
    ) from error


def _compare(path: epath.Path, item: str = "") -> None:
  """Compares a checkpoint with its manifest; says so if there is none."""
  if not manifest.check(path, item) and not item:
    _log.warning(
      "%s was saved by an earlier version: it has no manifest to verify its "
      "files by",
      path,
    )


def _replace(
  path: epath.Path, error: manifest.DamagedError, step: int, set_aside: bool
) -> None:
  """Says that an older checkpoint is used than a damaged one, and renames it.

  Args:
    path: The damaged checkpoint.
    error: What is damaged.
    step: Step of the older checkpoint.
    set_aside: Whether the damaged one is renamed.
  """
  now = ""
  if set_aside:
    now = f", and is called {directory.set_aside(path).name} from now on"
  _log.warning(
    "%s is damaged: %s%s; the checkpoint of step %d is used instead",
    path,
    error,
    now,
    step,
  )
