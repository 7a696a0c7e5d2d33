"""Checkpoints: the state of the training and of the data, and the config.

A checkpoint holds them as they are after a step. It exists whole or not at all.
The first process saves it, in the background.
"""

import contextlib
import logging
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from etils import epath

from hdc_jax.checkpoints import best as best_lib
from hdc_jax.checkpoints import directory, manifest, restoring, storage_errors
from hdc_jax.distributed import mesh, processes
from hdc_jax.errors import StorageError
from hdc_jax.runtime import buckets, watchdog

_log = logging.getLogger(__name__)

# So many saves in a row may fail before the run ends. Choice: 3, as a disk that
# was full at three intervals will hardly be cleared by itself.
MOST_FAILURES = 3
# What a mistake in the program raises, and storage does not.
_BUGS = (
  TypeError,
  AttributeError,
  NameError,
  LookupError,
  AssertionError,
  NotImplementedError,
)


class Checkpoints(restoring.SavedCheckpoints):
  """The checkpoints of a run that saves them.

  As a context manager, it waits at its end for a save in progress.
  """

  def __init__(
    self, workdir: epath.PathLike, keep: int = 2, monitor: str = ""
  ) -> None:
    """Opens `workdir`/checkpoints, which the first save creates.

    Args:
      workdir: Directory of the run; local or in a bucket of Google Cloud
        Storage.
      keep: Number of checkpoints to keep, the newest ones.
      monitor: Name of the measurement by which the best checkpoint is kept
        too; '' for none.

    Raises:
      ConfigError: If checkpoints cannot be written to such a directory.
      StorageError: If the directory cannot be read.
    """
    self._monitor = monitor
    self._measured: best_lib.Measured = {}
    # The step that is being saved; and in the first process how that ended:
    # '' well, else why not, None if it has not ended.
    self._saving: int | None = None
    self._outcome: str | None = None
    self._failures = 0
    # Steps whose save has failed: a thread may still have been writing then.
    self._failed: set[int] = set()
    policies = ocp.checkpoint_managers
    super().__init__(
      workdir,
      {
        # Orbax saves measurements only if there is a function for them.
        "best_fn": (lambda values: values.get(monitor)) if monitor else None,
        "preservation_policy": policies.AnyPreservationPolicy(
          [policies.LatestN(keep), best_lib.KeepBest(self._measured, monitor)]
        ),
        "async_options": ocp.options.AsyncOptions(
          # It is called before the checkpoint counts as finished.
          post_finalization_callback=self._write_manifest,
          create_directories_asynchronously=False,
        ),
        "temporary_path_class": (
          None if buckets.is_remote(workdir) else directory.DurablePath
        ),
      },
    )
    if monitor:
      self._measured.update(self._read_measured())

  def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
    try:
      if kind is None:
        self.wait()
      self._manager.close()
    except Exception as error:
      if kind is None:
        raise
      # The error on its way says more.
      _log.debug("closing %s: %s", self._path, storage_errors.reason(error))
    finally:
      self._remove_failed()

  @property
  def steps(self) -> list[int]:
    """The steps that have a whole checkpoint, in ascending order."""
    return [step for step in super().steps if step != self._saving]

  def clean(self) -> None:
    """Removes what a killed process has left in the directory of the run.

    Only for a run that has the lock of the directory.

    Raises:
      StorageError: If it cannot be removed.
    """
    removed = processes.decide(
      lambda: directory.clean(self._workdir, self.steps)
    )
    if removed:
      _log.info("removed what a killed run left: %s", ", ".join(removed))

  def save(
    self,
    step: int,
    state: Any,
    data: dict[str, Any],
    config: Mapping[str, Any],
    measured: Mapping[str, float] | None = None,
  ) -> None:
    """Starts to save a checkpoint, which goes on in the background.

    If that fails, it is said, here or by `check`, and nothing else is lost.

    Args:
      step: Number of steps taken.
      state: A dataclass of trees of arrays.
      data: State of the data, see `loader.data_state`.
      config: Values of the config by section.
      measured: What was measured of the state, by name.

    Raises:
      StorageError: If `MOST_FAILURES` saves in a row have failed.
    """
    self._settle(wait=True)
    self._saving = step
    if self._monitor:
      self._measured[step] = dict(measured or {})
    on_first = jax.tree.map(_on_first_process, restoring.state_fields(state))
    if jax.process_index():
      return
    try:
      self._path.mkdir(parents=True, exist_ok=True)
      self._manager.save(
        step,
        metrics=self._measured.get(step),
        args=ocp.args.Composite(
          state=ocp.args.StandardSave(on_first),
          data=ocp.args.JsonSave(data),
          config=ocp.args.JsonSave(dict(config)),
        ),
        custom_metadata={manifest.MARK: True},
        force=True,
      )
    except _BUGS:
      raise
    except Exception as error:
      self._note_failure(error)

  def _write_manifest(self) -> None:
    """Completes the checkpoint that is being saved, in the first process."""
    path = self._path / str(self._saving)
    manifest.write(directory.unfinished(path))

  def check(self, agree: bool = True) -> None:
    """Says it at once if a save has failed. Every process calls this.

    Args:
      agree: Whether several processes exchange it, which waits for their
        devices; the run ends only then.

    Raises:
      StorageError: If `MOST_FAILURES` saves in a row have failed.
    """
    if self._saving is None:
      return
    if not jax.process_index() and not self._manager.is_saving_in_progress():
      self._end_save()
    if agree or jax.process_count() == 1:
      self._settle(wait=False)

  def wait(self) -> None:
    """Waits until the save in progress is complete.

    Raises:
      StorageError: If it fails.
    """
    last = self._saving
    reason = self._settle(wait=True)
    if reason:
      raise StorageError(
        f"the checkpoint of step {last} could not be saved: {reason}; "
        f"{self._remedy()}"
      )

  def _settle(self, wait: bool) -> str:
    """Lets all processes know how the save ended; why it failed, if it has."""
    if self._saving is None:
      return ""
    with watchdog.limited("saving a checkpoint", watchdog.SAVE_SECONDS):
      if wait and not jax.process_index():
        self._end_save()
      outcome = processes.decide(lambda: self._outcome)
    if outcome is None:
      return ""
    step, self._saving, self._outcome = self._saving, None, None
    self._failures = self._failures + 1 if outcome else 0
    if outcome:
      self._measured.pop(step, None)
    if self._failures >= MOST_FAILURES:
      raise StorageError(
        f"{self._failures} checkpoints in a row could not be saved, the last "
        f"one because of this: {outcome}; {self._remedy()}"
      )
    return outcome

  def _remedy(self) -> str:
    newest = max(self.steps, default=None)
    place = "anew" if newest is None else f"from step {newest}"
    return (
      "make room, or mend the storage, and run the same command, which goes on "
      f"{place}"
    )

  def _end_save(self) -> None:
    """Waits for the save in progress, and keeps how it ended."""
    if self._outcome is not None:
      return
    try:
      self._manager.wait_until_finished()
      self._outcome = ""
    except _BUGS:
      raise
    except Exception as error:
      self._note_failure(error)

  def _note_failure(self, error: Exception) -> None:
    """Says that a save has failed, and removes what it has written."""
    self._outcome = storage_errors.reason(error)
    _log.warning(
      "the checkpoint of step %s could not be saved: %s; the run goes on, and "
      "tries again when the next one is due",
      self._saving,
      self._outcome,
    )
    assert self._saving is not None
    self._failed.add(self._saving)
    with contextlib.suppress(Exception):  # it shows in `steps`, at worst
      self._manager.close()
    self._remove_failed()
    with contextlib.suppress(Exception):
      self._open()

  def _remove_failed(self) -> None:
    """Removes what failed saves have written; at the end once more."""
    for step in self._failed:
      directory.remove_unfinished(self._path / str(step))

  def is_best(self, measured: Mapping[str, float]) -> bool:
    """Whether a state is better than that of every checkpoint.

    Args:
      measured: What was measured of the state, by name.
    """
    if self._monitor not in measured:
      return False
    best = best_lib.best_of(self._measured, self._monitor)
    value = measured[self._monitor]
    return best is None or value > self._measured[best][self._monitor]


def _on_first_process(array: Any) -> Any:
  """An array that the first process can save by itself.

  Args:
    array: A global array; every process has to call this with it.

  Returns:
    The array itself in a run of one process; else all of it as one of NumPy, as
    Orbax does not save arrays of JAX that only one process knows.
  """
  if jax.process_count() == 1 or not isinstance(array, jax.Array):
    return array
  if array.is_fully_replicated:
    return np.asarray(array.addressable_data(0))
  return mesh.gather(array)
