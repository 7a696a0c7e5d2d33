"""Checkpoints: the state of the training and of the data, and the config.

A checkpoint holds them as they are after a step. It exists whole or not at all.
"""

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

import jax
import orbax.checkpoint as ocp
from etils import epath

from hdc_jax.errors import ConfigError, DataError
from hdc_jax.options import identity
from hdc_jax.runs.results import CHECKPOINTS
from hdc_jax.runtime import buckets, files

STATE, DATA, CONFIG = "state", "data", "config"
# The backbone's subtree in each collection of variables.
BACKBONE = "backbone"


@dataclasses.dataclass(frozen=True)
class Restored:
  """The content of a checkpoint.

  Attributes:
    state: Arrays, in the tree and with the shardings that were asked for.
    data: State of the data, see `loader.data_state`.
  """

  state: Any
  data: dict[str, Any]


class Checkpoints:
  """The checkpoints of a run directory, saved in the background by Orbax.

  All processes take part in saving and restoring. As a context manager, it
  waits at its end for a save in progress.
  """

  def __init__(self, workdir: epath.PathLike, keep: int = 2) -> None:
    """Opens `workdir`/checkpoints, which the first save creates.

    Args:
      workdir: Directory of the run; local or in a bucket of Google Cloud
        Storage.
      keep: Number of checkpoints to keep, the newest ones.

    Raises:
      ConfigError: If checkpoints cannot be written to such a directory.
    """
    buckets.check_access(workdir)
    if os.fspath(workdir).startswith("s3://"):
      raise ConfigError(
        f"{workdir}: Orbax writes checkpoints to disks and to gs://, not to "
        "s3://; name such a --workdir, and copy it to s3:// after the run"
      )
    # Orbax refuses relative paths.
    self._path = files.absolute(workdir) / CHECKPOINTS
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
    """The steps that have a whole checkpoint, in ascending order."""
    return sorted(self._manager.all_steps())

  def save(
    self,
    step: int,
    state: Any,
    data: dict[str, Any],
    config: Mapping[str, Any],
  ) -> None:
    """Starts to save a checkpoint, which goes on in the background.

    A failure is raised here, or by the next call.

    Args:
      step: Number of steps taken.
      state: A dataclass of trees of arrays.
      data: State of the data, see `loader.data_state`.
      config: Values of the config by section.
    """
    self._manager.save(
      step,
      args=ocp.args.Composite(
        state=ocp.args.StandardSave(_fields(state)),
        data=ocp.args.JsonSave(data),
        config=ocp.args.JsonSave(dict(config)),
      ),
      force=True,
    )

  def wait(self) -> None:
    """Waits until the save in progress is complete."""
    self._manager.wait_until_finished()

  def config(self, step: int) -> dict[str, Any]:
    """Reads the config of a checkpoint.

    Args:
      step: One of `steps`.

    Returns:
      Values by section, with tuples for sequences.

    Raises:
      DataError: If the checkpoint is damaged.
    """
    restore = ocp.args.Composite(config=ocp.args.JsonRestore())
    try:
      restored = self._manager.restore(step, args=restore)
    except (ValueError, KeyError, OSError) as error:
      raise DataError(
        f"{self._path / str(step)} has no config that can be read: {error}; "
        "delete this checkpoint to resume from an older one"
      ) from error
    return identity.with_tuples(restored[CONFIG])

  def restore(self, step: int, abstract_state: Any) -> Restored:
    """Reads the state of the training and that of the data of a checkpoint.

    Args:
      step: One of `steps`.
      abstract_state: The state with the shape, dtype and sharding of each array
        instead of the array.

    Raises:
      DataError: If the checkpoint is damaged or of another network.
    """
    try:
      restored = self._manager.restore(
        step,
        args=ocp.args.Composite(
          state=ocp.args.StandardRestore(_fields(abstract_state)),
          data=ocp.args.JsonRestore(),
        ),
      )
    except (ValueError, KeyError, OSError) as error:
      raise DataError(
        f"{self._path / str(step)} cannot be restored: {error}; delete this "
        "checkpoint to resume from an older one"
      ) from error
    state = dataclasses.replace(abstract_state, **restored[STATE])
    return Restored(state, restored[DATA])

  def restore_backbone(self, step: int, abstract: Any) -> Any:
    """Reads the backbone's variables of a checkpoint, and nothing else.

    Args:
      step: One of `steps`.
      abstract: Trees of the shapes, dtypes and shardings to restore, by
        collection.

    Returns:
      The variables by collection.

    Raises:
      DataError: If the checkpoint is damaged or of another network.
    """
    path = self._path / str(step) / STATE
    # Leave out what the backbone does not have: heads alone may have means.
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


def _fields(state: Any) -> dict[str, Any]:
  """The fields of a state by name, as they are saved.

  A queue that is empty is left out, as versions without queues did not save it.

  Args:
    state: A dataclass of trees of arrays.
  """
  fields = {f.name: getattr(state, f.name) for f in dataclasses.fields(state)}
  return {k: v for k, v in fields.items() if k != "queue" or v}


def _check_tree(wanted: Any, saved: Any) -> None:
  """Checks that a checkpoint has arrays of the wanted shapes.

  Args:
    wanted: Arrays with shapes, in nested dictionaries.
    saved: Arrays of the checkpoint, likewise; there may be more of them.

  Raises:
    ValueError: Naming the first array that is missing or has another shape.
  """
  for path, leaf in jax.tree_util.tree_leaves_with_path(wanted):
    name, array = ".".join(key.key for key in path), saved
    for key in path:
      array = array.get(key.key, {})
    if not hasattr(array, "shape"):
      raise ValueError(f"it has no {name}: it is of another network")
    if tuple(array.shape) != leaf.shape:
      raise ValueError(
        f"its {name} is {list(array.shape)} instead of {list(leaf.shape)}: it "
        "is of another network"
      )


def find(reference: epath.PathLike) -> tuple[epath.Path, int]:
  """Finds the checkpoint that `config.checkpoint` names.

  Args:
    reference: A run directory, for its newest checkpoint; or one checkpoint,
      RUN/checkpoints/N.

  Returns:
    The run directory, and the step of the checkpoint.

  Raises:
    DataError: If there is no such checkpoint.
  """
  path = files.absolute(reference)
  if path.name.isdigit() and path.parent.name == CHECKPOINTS:
    workdir, wanted = path.parent.parent, int(path.name)
  else:
    workdir, wanted = path, None
  if not files.is_dir(workdir / CHECKPOINTS):
    raise DataError(f"config.checkpoint: {path} is not the directory of a run")
  with Checkpoints(workdir) as checkpoints:
    steps = checkpoints.steps
  if not steps or (wanted is not None and wanted not in steps):
    existing = ", ".join(map(str, steps)) or "none"
    raise DataError(
      f"config.checkpoint: {path} has no such checkpoint; the steps of the run "
      f"are: {existing}"
    )
  return workdir, steps[-1] if wanted is None else wanted
