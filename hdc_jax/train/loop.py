"""The training loop, which knows no method, backbone or task."""

import contextlib
import dataclasses
import logging
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from hdc_jax.data import sources
from hdc_jax.data.clips import loader, training_clips
from hdc_jax.data.options import Batches, Loading
from hdc_jax.distributed import mesh
from hdc_jax.errors import Preempted
from hdc_jax.objective import Metrics
from hdc_jax.options import Options, RunConfig, option
from hdc_jax.runs import metrics, results
from hdc_jax.runtime.progress import Progress
from hdc_jax.train import checkpoint, guards
from hdc_jax.train.step import TrainState
from hdc_jax.train.training import Training

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Train(Options, section="train"):
  """Options of the training loop."""

  # The paper gives no length. Choice: 100 epochs of the 240,000 videos of
  # Kinetics-400.
  steps: int = option(187_500, "Length of the run in steps.", at_least=1)
  log_every: int = option(
    50, "Steps from one line of metrics to the next.", at_least=1
  )
  checkpoint_every: int = option(
    2_000, "Steps from one checkpoint to the next.", at_least=1
  )
  keep_checkpoints: int = option(
    2, "How many of the newest checkpoints to keep.", at_least=1
  )
  patience: float = option(
    1800,
    "Seconds that a step may take, with compilation in the first, before the "
    "run counts as hung and ends; 0: no limit.",
    at_least=0,
  )


@dataclasses.dataclass(frozen=True)
class Run:
  """The setup of a training run: its length, batches and directory.

  Attributes:
    workdir: Directory that gets checkpoints/, metrics.jsonl, tensorboard/ and
      config.json.
    config: The config that is saved with every checkpoint.
    train: Length of the run, and intervals of logging and saving.
    batches: Size of the batches, and how many videos may fail to decode.
    loading: Threads and processes that decode.
    seed: Seed of the order of the videos and of the clips cut from them.
  """

  workdir: str
  config: RunConfig
  train: Train
  batches: Batches
  loading: Loading
  seed: int


def fit(
  run: Run,
  training: Training,
  cut: training_clips.CutClips,
  *,
  initial: Callable[[], TrainState] | None = None,
) -> tuple[TrainState, dict[str, float]]:
  """Trains until `train.steps`, from the newest checkpoint if there is one.

  Args:
    run: Length, batches and directory of the run.
    training: The objective and its train step.
    cut: Cuts the clips out of the videos to learn from.
    initial: Makes the first state, by default with random weights.

  Returns:
    The last state, which is saved; and the speed, see `Meter.speed`, empty if
    the run was complete already.

  Raises:
    ConfigError: If the run directory holds a run with another config.
    DataError: If the data or a checkpoint is damaged, or is of another run.
    NonFiniteError: If the loss becomes NaN or infinite.
    Preempted: If a signal stopped the run; its state is saved.
  """
  keep = run.train.keep_checkpoints
  with checkpoint.Checkpoints(run.workdir, keep) as saved:
    state = _restore(run, training, cut, saved)
    if state is None:
      state = (initial or training.init_state)()
    _log_setup(run, training, cut, state)
    if int(state.step) >= run.train.steps:
      _log.info("%s is at step %d already", run.workdir, int(state.step))
      return state, {}
    results.write_config(run.workdir, run.config.values)
    batches = loader.training_batches(
      cut,
      run.loading,
      batch_size=run.batches.batch_size,
      seed=run.seed,
      first_step=int(state.step),
      process_index=jax.process_index(),
      process_count=jax.process_count(),
    )
    feed = loader.Feed(batches, run.batches.max_bad)
    return _train(run, training, cut.source, saved, state, feed)


def _restore(
  run: Run,
  training: Training,
  cut: training_clips.CutClips,
  saved: checkpoint.Checkpoints,
) -> TrainState | None:
  """Restores the newest checkpoint, if there is one.

  Returns:
    The state, replicated over the mesh; None without a checkpoint.

  Raises:
    ConfigError: If the checkpoint was saved with another config.
    DataError: If it is damaged, or of another dataset.
  """
  if not saved.steps:
    return None
  newest = saved.steps[-1]
  saved_config = with_canvas_of(run.config, saved.config(newest), cut.canvas)
  run.config.check_resumes(saved_config, run.workdir)
  restored = training.restore_state(saved, newest)
  loader.check_data_state(cut.source, restored.data)
  _log.info("resuming %s at step %d", run.workdir, newest)
  return restored.state


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


def _log_setup(
  run: Run, training: Training, cut: training_clips.CutClips, state: TrainState
) -> None:
  """Logs the network, the loss, the devices and the length of the run."""
  sizes = [np.prod(p.shape) for p in jax.tree.leaves(state.params)]
  _log.info(
    "%s on %d × %s: %s parameters; loss = %s",
    run.config.values["model"]["name"],
    training.mesh.devices.size,
    training.mesh.devices.flat[0].device_kind,
    f"{int(sum(sizes)):,}",
    training.objective.description,
  )
  videos, steps = len(cut.records), run.train.steps
  _log.info(
    "%s videos of %s: %d steps of %d are %.1f epochs",
    f"{videos:,}",
    cut.source,
    steps,
    run.batches.batch_size,
    # An epoch is as many whole batches as there are videos for.
    steps / (videos // run.batches.batch_size),
  )


def _train(
  run: Run,
  training: Training,
  source: sources.Source,
  saved: checkpoint.Checkpoints,
  state: TrainState,
  feed: loader.Feed,
) -> tuple[TrainState, dict[str, float]]:
  """Takes the remaining steps, and saves the state on the way."""
  first, steps = int(state.step), run.train.steps
  with (
    metrics.MetricsWriter(run.workdir, first) as writer,
    Progress(steps, "steps", initial=first) as progress,
    guards.Watchdog(run.train.patience) as watchdog,
    contextlib.ExitStack() as stack,
  ):
    reports = _Reports(run, training, feed, writer, progress, watchdog)
    stop = None
    for step in range(first + 1, steps + 1):
      clips = mesh.to_devices(training.mesh, next(feed))
      compiling = contextlib.nullcontext()
      if stop is None:
        compiling = progress.phase("compiling the train step")
      with compiling, jax.transfer_guard_device_to_host("disallow"):
        state, scalars = training.train_step(state, clips)
      # Before, a signal ends the run at once: nothing is lost.
      stop = stop or stack.enter_context(guards.StopSignal())
      reports.add(step, scalars)
      stopping = stop.reached(step)
      due = step % run.train.checkpoint_every == 0 or step == steps
      if due or stopping:
        # Check that the loss is finite before its state is saved.
        reports.flush()
        data = loader.data_state(source, step)
        saved.save(step, state, data, run.config.values)
      if stopping and step < steps:
        saved.wait()
        raise Preempted(
          f"stopped by {stop.received} at step {step}, which is saved: rerun "
          "the same command to go on"
        )
  saved.wait()
  return state, reports.speed()


class _Reports:
  """Reports the metrics of every step, one step late.

  The metrics of a step are fetched after the next step has been dispatched. So
  the device never waits for the host, and the host is at most one step ahead.
  """

  def __init__(
    self,
    run: Run,
    training: Training,
    feed: loader.Feed,
    writer: metrics.MetricsWriter,
    progress: Progress,
    watchdog: guards.Watchdog,
  ) -> None:
    self._train, self._feed = run.train, feed
    self._writer, self._progress, self._watchdog = writer, progress, watchdog
    views = len(training.objective.views)
    self._meter = metrics.Meter(run.batches.batch_size * views)
    self._pending: tuple[int, Metrics] | None = None

  def add(self, step: int, scalars: Metrics) -> None:
    """Keeps the metrics of a step that has begun, and reports the one before.

    Args:
      step: Number of the step.
      scalars: Its metrics, still on the device.
    """
    self.flush()
    self._pending = step, scalars

  def flush(self) -> None:
    """Waits for the last step, and reports it.

    Raises:
      NonFiniteError: If its loss or gradient is not finite.
    """
    if self._pending is None:
      return
    step, on_device = self._pending
    self._pending = None
    scalars = {k: float(v) for k, v in jax.device_get(on_device).items()}
    self._watchdog.step_ended()
    guards.check_finite(step, scalars)
    shown = self._meter.update(scalars, self._feed.take_wait())
    if step % self._train.log_every == 0 or step == self._train.steps:
      self._writer.write(step, self._meter.flush())
    self._progress.update(**shown)

  def speed(self) -> dict[str, float]:
    """The speed of the training, see `Meter.speed`."""
    return self._meter.speed()
