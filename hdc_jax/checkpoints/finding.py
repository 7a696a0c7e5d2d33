"""Finds the checkpoint that a user names."""

from etils import epath

from hdc_jax.checkpoints.restoring import SavedCheckpoints
from hdc_jax.errors import DataError
from hdc_jax.runs.results import CHECKPOINTS
from hdc_jax.runtime import files

# Stands for the number of the best checkpoint: RUN/checkpoints/best.
BEST = "best"


def names_one(reference: epath.PathLike) -> bool:
  """Whether `config.checkpoint` names one checkpoint, and not a run.

  Args:
    reference: A run directory, or one checkpoint in it.
  """
  path = files.absolute(reference)
  chosen = path.name.isdigit() or path.name == BEST
  return chosen and path.parent.name == CHECKPOINTS


def find(reference: epath.PathLike) -> tuple[epath.Path, int]:
  """Finds the checkpoint that `config.checkpoint` names.

  Args:
    reference: A run directory, for its newest checkpoint; or one checkpoint,
      RUN/checkpoints/N, or RUN/checkpoints/best for the best one by
      `train.keep_best`.

  Returns:
    The run directory, and the step of the checkpoint.

  Raises:
    DataError: If there is no such checkpoint.
  """
  path = files.absolute(reference)
  named = names_one(reference)
  workdir = path.parent.parent if named else path
  if not files.is_dir(workdir / CHECKPOINTS):
    raise DataError(f"config.checkpoint: {path} is not the directory of a run")
  with SavedCheckpoints(workdir) as checkpoints:
    steps = checkpoints.steps
    best = checkpoints.best() if named and path.name == BEST else None
  if best:
    return workdir, best[0]
  if named and path.name == BEST:
    raise DataError(
      f"config.checkpoint: {path}: no checkpoint of the run was kept as the "
      "best: name a measurement of the online probe in its "
      "config.train.keep_best, or name one of its steps: "
      f"{', '.join(map(str, steps)) or 'none'}"
    )
  wanted = int(path.name) if named else None
  if not steps or (wanted is not None and wanted not in steps):
    existing = ", ".join(map(str, steps)) or "none"
    raise DataError(
      f"config.checkpoint: {path} has no such checkpoint; the steps of the run "
      f"are: {existing}"
    )
  return workdir, steps[-1] if wanted is None else wanted
