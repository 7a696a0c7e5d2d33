"""Restores what a run has reached, if it may go on from there."""

import dataclasses
import logging
from collections.abc import Mapping
from typing import Any

from hdc_jax.checkpoints import saving
from hdc_jax.data.clips import loader, training_clips
from hdc_jax.options import RunConfig
from hdc_jax.train import skipping
from hdc_jax.train.options import Run
from hdc_jax.train.step import TrainState
from hdc_jax.train.training import Training

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Past:
  """What is saved of the steps so far besides the state.

  Attributes:
    skips: Counts the steps that were not finite.
    changes: For each time that the run was resumed with other values, the
      `step`, and by field the value before and the value from there on.
  """

  skips: skipping.Skips
  changes: list[dict[str, Any]] = dataclasses.field(default_factory=list)

  @property
  def saved(self) -> dict[str, Any]:
    """The entries of a checkpoint's data, which `restore` reads."""
    return {"skipped": self.skips.saved, "changes": self.changes}

  @property
  def summary(self) -> dict[str, Any]:
    """The entries of the result: nothing if nothing happened."""
    skipped = {"skipped": self.skips.total} if self.skips.total else {}
    return skipped | ({"changes": self.changes} if self.changes else {})


def restore(
  run: Run,
  training: Training,
  cut: training_clips.CutClips,
  saved: saving.Checkpoints,
) -> tuple[TrainState | None, Past]:
  """Restores the newest checkpoint that is whole, if there is one.

  Args:
    run: The setup of the run.
    training: What is trained.
    cut: Cuts the clips out of the videos to learn from.
    saved: The checkpoints of the run.

  Returns:
    The state, replicated over the mesh, None without a checkpoint; and what
    else is saved of the steps so far.

  Raises:
    ConfigError: If the checkpoint was saved with another config, or a step to
      pass over is taken already.
    DataError: If all are damaged, or it is of another dataset.
    StorageError: If the storage fails.
  """
  newest = saved.newest_whole(set_aside=True)
  changing, limit = run.train.resume_with, run.train.max_skipped
  if newest is None:
    return None, Past(skipping.Skips(limit))
  saved_config = with_canvas_of(run.config, saved.config(newest), cut.canvas)
  changes = run.config.check_resumes(saved_config, run.workdir, changing)
  earlier = saved_config.get("train", {}).get("skip_steps", "")
  run.train.passed_over.check_not_taken(
    skipping.NamedSteps.parse(earlier), newest
  )
  restored = training.restore_state(saved, newest)
  loader.check_data_state(cut.source, restored.data)
  _log.info("resuming %s at step %d", run.workdir, newest)
  past = restored.data.get("changes", [])
  if changes:
    for field, (before, now) in changes.items():
      _log.info("from here on, config.%s is %s, was %s", field, now, before)
    past = [*past, {"step": newest, **changes}]
  skips = skipping.Skips(limit, restored.data.get("skipped"))
  return restored.state, Past(skips, past)


def with_canvas_of(
  config: RunConfig, saved: Mapping[str, Any], canvas: int
) -> Mapping[str, Any]:
  """A saved config with this run's options of an equally large canvas.

  Runs of earlier versions name the canvas in pixels, which now follows from the
  dataset.

  Args:
    config: The config of this run.
    saved: The config in the checkpoint, by section.
    canvas: Side of this run's canvas in pixels.

  Returns:
    The saved config; with `data.canvas` and `data.part` of this run, if it
    names a canvas of this side.
  """
  data, now = saved.get("data", {}), config.values["data"]
  if data.get("canvas") != canvas:
    return saved
  same = {name: now[name] for name in ("canvas", "part") if name in now}
  return {**saved, "data": {**data, **same}}
