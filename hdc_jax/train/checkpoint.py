"""Checkpoints: state, data state and config of a step, whole or not at all."""

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

import jax
import orbax.checkpoint as ocp
from etils import epath

from hdc_jax.errors import ConfigError, DataError
from hdc_jax.options import identity
from hdc_jax.runtime import buckets, files

STATE, DATA, CONFIG = "state", "data", "config"
BACKBONE = "backbone"  # in each collection of variables


@dataclasses.dataclass(frozen=True)
class Restored:
  """What a checkpoint held.

  Attributes:
    state: Arrays as asked for.
    data: Of the loader, see `loader.data_state`.
  """

  state: Any
  data: dict[str, Any]


class Checkpoints:
  """The checkpoints of a run directory, saved in the background by Orbax.

  All hosts take part in saving and restoring. A context manager: leaving it
  waits for the save under way.
  """

  def __init__(self, workdir: epath.PathLike, keep: int = 2) -> None:
    """Opens `workdir`/checkpoints, which is made when first saved to.

    Args:
      workdir: Of the run; local or in a bucket of Google Cloud Storage.
      keep: How many of the newest to keep.

    Raises:
      ConfigError: If they cannot be there.
    """
    buckets.check_access(workdir)
    if os.fspath(workdir).startswith("s3://"):
      raise ConfigError(
        f"{workdir}: Orbax writes checkpoints to disks and to gs://, not to "
        "s3://; name a --workdir there, and copy it when the run has ended"
      )
    # Orbax refuses relative paths.
    self._path = files.absolute(workdir) / "checkpoints"
    self._manager = ocp.CheckpointManager(
      self._path,
      item_names=(STATE, DATA, CONFIG),
      options=ocp.CheckpointManagerOptions(max_to_keep=keep, create=True),
    )

  def __enter__(self) -> "Checkpoints":
    return self

  def __exit__(self, *_: object) -> None:
    self._manager.close()

  @property
  def steps(self) -> list[int]:
    """Steps with a whole checkpoint, oldest first."""
    return sorted(self._manager.all_steps())

  def save(
    self,
    step: int,
    state: Any,
    data: dict[str, Any],
    config: Mapping[str, Any],
  ) -> None:
    """Begins to save; a failure raises here or when the next one begins."""
    self._manager.save(
      step,
      args=ocp.args.Composite(
        state=ocp.args.StandardSave(state),
        data=ocp.args.JsonSave(data),
        config=ocp.args.JsonSave(dict(config)),
      ),
      force=True,
    )

  def wait(self) -> None:
    """Waits until what was begun is saved."""
    self._manager.wait_until_finished()

  def config(self, step: int) -> dict[str, Any]:
    """The config that a step was saved with, by section, with its tuples.

    Raises:
      DataError: If the checkpoint is damaged.
    """
    restore = ocp.args.Composite(config=ocp.args.JsonRestore())
    try:
      restored = self._manager.restore(step, args=restore)
    except (ValueError, KeyError, OSError) as error:
      raise DataError(
        f"{self._path / str(step)} has no config that can be read: {error}; "
        "delete it to go on from an older one"
      ) from error
    return identity.with_tuples(restored[CONFIG])

  def restore(self, step: int, abstract_state: Any) -> Restored:
    """Restores a step.

    Args:
      step: One of `steps`.
      abstract_state: Shapes, dtypes and shardings wanted.

    Raises:
      DataError: If the checkpoint is damaged or of another network.
    """
    try:
      restored = self._manager.restore(
        step,
        args=ocp.args.Composite(
          state=ocp.args.StandardRestore(abstract_state),
          data=ocp.args.JsonRestore(),
        ),
      )
    except (ValueError, KeyError, OSError) as error:
      raise DataError(
        f"{self._path / str(step)} cannot be restored: {error}; delete it to "
        "go on from an older one"
      ) from error
    return Restored(restored[STATE], restored[DATA])

  def restore_backbone(self, step: int, abstract: Any) -> Any:
    """Restores the backbone's variables of a step, and reads nothing else.

    Args:
      step: One of `steps`.
      abstract: Shapes, dtypes and shardings wanted, by collection.

    Raises:
      DataError: If the checkpoint is damaged or of another network.
    """
    path = self._path / str(step) / STATE
    # A head may have running means where the backbone has none.
    wanted = {name: {BACKBONE: t} for name, t in abstract.items() if t}
    arguments = ocp.args.PyTreeRestore(
      item=wanted,
      restore_args=ocp.checkpoint_utils.construct_restore_args(wanted),
      partial_restore=True,
    )
    try:
      _check_tree(wanted, ocp.PyTreeCheckpointHandler().metadata(path).tree)
      with ocp.PyTreeCheckpointer() as checkpointer:
        restored = checkpointer.restore(path, args=arguments)
    except (ValueError, KeyError, OSError, TypeError) as error:
      raise DataError(f"{path} cannot be restored: {error}") from error
    return {name: restored.get(name, {}).get(BACKBONE, {}) for name in abstract}


def _check_tree(wanted: Any, found: Any) -> None:
  """Raises ValueError, naming an array that is not there, or not as wanted.

  Args:
    wanted: Shapes, in nested dictionaries.
    found: What a checkpoint holds, likewise; may hold more.
  """
  for path, leaf in jax.tree_util.tree_leaves_with_path(wanted):
    name, there = ".".join(key.key for key in path), found
    for key in path:
      there = there.get(key.key, {})
    if not hasattr(there, "shape"):
      raise ValueError(f"it has no {name}: it is of another network")
    if tuple(there.shape) != leaf.shape:
      raise ValueError(
        f"its {name} is {list(there.shape)} instead of {list(leaf.shape)}: it "
        "is of another network"
      )


def find(reference: epath.PathLike) -> tuple[epath.Path, int]:
  """The run directory and step that `config.checkpoint` names.

  Args:
    reference: A run directory (its newest step is meant) or RUN/checkpoints/N.

  Raises:
    DataError: If there is no checkpoint.
  """
  path = files.absolute(reference)
  if path.name.isdigit() and path.parent.name == "checkpoints":
    workdir, wanted = path.parent.parent, int(path.name)
  else:
    workdir, wanted = path, None
  if not files.is_dir(workdir / "checkpoints"):
    raise DataError(f"config.checkpoint: {path} is not the directory of a run")
  with Checkpoints(workdir) as checkpoints:
    steps = checkpoints.steps
  if not steps or (wanted is not None and wanted not in steps):
    raise DataError(f"config.checkpoint: {path} not found; steps: {steps}")
  return workdir, steps[-1] if wanted is None else wanted
