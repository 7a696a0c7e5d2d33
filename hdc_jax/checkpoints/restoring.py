"""Reads checkpoints, which are verified before they are trusted."""

import dataclasses
import logging
import os
from collections.abc import Mapping
from typing import Any, Self

import jax
import orbax.checkpoint as ocp
from etils import epath

from hdc_jax.checkpoints import best as best_lib
from hdc_jax.checkpoints import manifest, storage_errors, verifying
from hdc_jax.distributed import processes
from hdc_jax.errors import ConfigError
from hdc_jax.options import identity
from hdc_jax.runs.results import CHECKPOINTS
from hdc_jax.runtime import buckets, files

_log = logging.getLogger(__name__)

STATE, DATA, CONFIG, METRICS = "state", "data", "config", "metrics"
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


class SavedCheckpoints:
  """The checkpoints in the directory of a run.

  A context manager. Every process reads for itself, so that nothing that
  happens to one lets the others wait, and what happened is exchanged: all
  processes call the functions that verify and restore.
  """

  def __init__(
    self, workdir: epath.PathLike, writing: Mapping[str, Any] | None = None
  ) -> None:
    """Opens `workdir`/checkpoints, which need not exist.

    Args:
      workdir: Directory of the run; local or in a bucket of Google Cloud
        Storage.
      writing: Options of Orbax's manager of a run that saves checkpoints.

    Raises:
      ConfigError: If checkpoints cannot be in such a directory.
      StorageError: If the directory cannot be read.
    """
    buckets.check_access(workdir)
    if os.fspath(workdir).startswith("s3://"):
      raise ConfigError(
        f"{workdir}: Orbax writes checkpoints to disks and to gs://, not to "
        "s3://; name such a --workdir, and copy it to s3:// after the run"
      )
    # Orbax refuses relative paths.
    self._workdir = files.absolute(workdir)
    self._path = self._workdir / CHECKPOINTS
    # Steps whose files were compared with their manifests.
    self._verified: set[int] = set()
    self._writing = writing or {}
    self._open()

  def _open(self) -> None:
    """Opens the directory as it is now."""
    with storage_errors.translated_errors(self._path):
      self._manager = ocp.CheckpointManager(
        self._path,
        item_names=(STATE, DATA, CONFIG),
        options=ocp.CheckpointManagerOptions(
          create=False,
          # Nothing is read that has not been verified.
          lightweight_initialize=True,
          multiprocessing_options=_alone(),
          **self._writing,
        ),
      )

  def __enter__(self) -> Self:
    return self

  def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
    del kind
    self._manager.close()

  @property
  def steps(self) -> list[int]:
    """The steps that have a whole checkpoint, in ascending order."""
    # As they are on the storage, since only the first process knows of new
    # ones; and by their names, since their metadata may be damaged.
    with storage_errors.translated_errors(self._path):
      return sorted(ocp.utils.checkpoint_steps(self._path))

  def newest_whole(self, set_aside: bool = False) -> int | None:
    """The newest step whose files are as they were written.

    The first process verifies, for all.

    Args:
      set_aside: Whether newer checkpoints, which are damaged, are renamed; only
        for a run that has the lock of the directory.

    Returns:
      The step; None if there are no checkpoints.

    Raises:
      DataError: If all checkpoints are damaged.
      StorageError: If the storage fails.
    """
    step = processes.decide(
      lambda: verifying.newest_whole(self._path, self.steps, set_aside)
    )
    if step is not None:
      self._verified.add(step)
      with processes.shared_errors():
        self._manager.close()
        self._open()
    return step

  def _require_whole(self, step: int) -> None:
    """Verifies a checkpoint, in the first process, unless it has been.

    Raises:
      DataError: If it is damaged.
      StorageError: If the storage fails.
    """
    if step not in self._verified:
      processes.decide(lambda: verifying.require(self._path, step, self.steps))
      self._verified.add(step)

  def best(self) -> tuple[int, str, float] | None:
    """The best checkpoint by what `train.keep_best` of the newest one names.

    Returns:
      Its step, and the name and the value of the measurement; None if no
      checkpoint has one.
    """
    if not self.steps:
      return None
    config = self.config(self.steps[-1])
    monitor = config.get("train", {}).get("keep_best", "")
    measured = self._read_measured()
    step = best_lib.best_of(measured, monitor)
    return None if step is None else (step, monitor, measured[step][monitor])

  def _read_measured(self) -> best_lib.Measured:
    """What was measured of the state of each checkpoint."""
    measured = {}
    for step in self.steps:
      try:
        manifest.check(self._path / str(step), METRICS)
        measured[step] = self._manager.metrics(step) or {}
      except (manifest.DamagedError, ValueError) as error:
        _log.warning(
          "%s is damaged, and cannot be the best one: %s",
          self._path / str(step),
          storage_errors.reason(error),
        )
    return measured

  def config(self, step: int) -> dict[str, Any]:
    """Reads the config of a checkpoint.

    Args:
      step: One of `steps`.

    Returns:
      Values by section, with tuples for sequences.

    Raises:
      DataError: If the checkpoint is damaged.
      StorageError: If the storage fails.
    """
    path = self._path / str(step)
    verifying.require(self._path, step, self.steps, CONFIG)
    with storage_errors.translated_errors(path):
      restored = self._manager.restore(
        step, args=ocp.args.Composite(config=ocp.args.JsonRestore())
      )
    return identity.with_tuples(restored[CONFIG])

  def restore(self, step: int, abstract_state: Any) -> Restored:
    """Reads the state of the training and that of the data of a checkpoint.

    Args:
      step: One of `steps`.
      abstract_state: The state with the shape, dtype and sharding of each array
        instead of the array.

    Raises:
      DataError: If the checkpoint is damaged or of another network.
      StorageError: If the storage fails.
    """
    self._require_whole(step)
    path = self._path / str(step)
    with processes.shared_errors(), storage_errors.translated_errors(path):
      restored = self._manager.restore(
        step,
        args=ocp.args.Composite(
          state=ocp.args.StandardRestore(state_fields(abstract_state)),
          data=ocp.args.JsonRestore(),
        ),
      )
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
      StorageError: If the storage fails.
    """
    self._require_whole(step)
    path = self._path / str(step) / STATE
    # Leave out what the backbone does not have: heads alone may have means.
    wanted = {name: {BACKBONE: t} for name, t in abstract.items() if t}
    arguments = ocp.args.PyTreeRestore(
      item=wanted,
      restore_args=ocp.checkpoint_utils.construct_restore_args(wanted),
      partial_restore=True,
    )
    handler = ocp.PyTreeCheckpointHandler(multiprocessing_options=_alone())
    with (
      processes.shared_errors(),
      storage_errors.translated_errors(path),
      ocp.Checkpointer(handler, multiprocessing_options=_alone()) as reader,
    ):
      _check_tree(wanted, handler.metadata(path).tree)
      restored = reader.restore(path, args=arguments)
    return {name: restored.get(name, {}).get(BACKBONE, {}) for name in abstract}


def _alone() -> ocp.options.MultiprocessingOptions:
  """Lets Orbax work in this process without waiting for others."""
  index = jax.process_index()
  return ocp.options.MultiprocessingOptions(
    primary_host=index,
    active_processes={index},
    barrier_sync_key_prefix=f"process{index}",
  )


def state_fields(state: Any) -> dict[str, Any]:
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
