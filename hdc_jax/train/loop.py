"""The training loop, which all tasks that train share.

It names no method, no backbone and no task.
"""

import logging
from collections.abc import Callable

import jax
import ml_collections
import numpy as np

from hdc_jax.config import identity
from hdc_jax.data import sources
from hdc_jax.data.clips import loader
from hdc_jax.distributed import mesh
from hdc_jax.errors import Preempted
from hdc_jax.runs import metrics, results
from hdc_jax.runtime.progress import Progress
from hdc_jax.train import checkpoint, guards, training
from hdc_jax.train.step import Metrics, TrainState

_log = logging.getLogger(__name__)


def fit(
  config: ml_collections.ConfigDict,
  workdir: str,
  made: training.Trainer,
  source: sources.Source,
  numbers: np.ndarray,
  *,
  label: str = "",
  initial: Callable[[], TrainState] | None = None,
) -> tuple[TrainState, dict[str, float]]:
  """Trains until `train.steps`, from the newest checkpoint if there is one.

  Args:
    config: Resolved; see `config.default`.
    workdir: Gets checkpoints/, metrics.jsonl, tensorboard/ and config.json.
    made: What to train.
    source: Of the videos.
    numbers: Of those to train on.
    label: To learn, if any.
    initial: Makes the first state, by default with random weights.

  Returns:
    The last state, which is saved, and `Meter.speed`: empty if nothing was left
    to do.

  Raises:
    ConfigError, DataError: If config, data or checkpoint are wrong.
    NonFiniteError: If the loss becomes NaN or infinite.
    Preempted: If a signal stopped the run; its state is saved.
  """
  with checkpoint.Checkpoints(workdir, config.train.keep_checkpoints) as saved:
    state = _restore(config, workdir, made, source, saved)
    if state is None:
      state = (initial or made.init_state)()
    _log_setup(config, made, len(numbers), state)
    if int(state.step) >= config.train.steps:
      _log.info("%s is at step %d already", workdir, int(state.step))
      return state, {}
    results.write_config(workdir, config)
    batches = loader.training_batches(
      source,
      config,
      numbers=numbers,
      starts=made.starts,
      label=label,
      first_step=int(state.step),
      process_index=jax.process_index(),
      process_count=jax.process_count(),
    )
    feed = loader.Feed(batches, config.data.max_bad)
    return _train(config, workdir, made, source, saved, state, feed)


def _restore(
  config: ml_collections.ConfigDict,
  workdir: str,
  made: training.Trainer,
  source: sources.Source,
  saved: checkpoint.Checkpoints,
) -> TrainState | None:
  """The newest checkpoint's state, placed on the mesh, if there is one.

  Raises:
    ConfigError, DataError: If the checkpoint is of another run.
  """
  if not saved.steps:
    return None
  newest = saved.steps[-1]
  identity.check_same(
    config, saved.config(newest), identity.DECISIVE, str(workdir)
  )
  restored = made.restore_state(saved, newest)
  loader.check_data_state(source, restored.data)
  _log.info("resuming %s at step %d", workdir, newest)
  return restored.state


def _log_setup(
  config: ml_collections.ConfigDict,
  made: training.Trainer,
  videos: int,
  state: TrainState,
) -> None:
  """Says what is about to run."""
  sizes = [np.prod(p.shape) for p in jax.tree.leaves(state.params)]
  _log.info(
    "%s on %d × %s: %s parameters; loss = %s",
    config.model.name,
    made.mesh.devices.size,
    made.mesh.devices.flat[0].device_kind,
    f"{int(sum(sizes)):,}",
    made.loss,
  )
  _log.info(
    "%s videos of %s: %d steps of %d are %.1f epochs",
    f"{videos:,}",
    config.data.path,
    config.train.steps,
    config.data.batch_size,
    config.train.steps * config.data.batch_size / videos,
  )


def _train(
  config: ml_collections.ConfigDict,
  workdir: str,
  made: training.Trainer,
  source: sources.Source,
  saved: checkpoint.Checkpoints,
  state: TrainState,
  feed: loader.Feed,
) -> tuple[TrainState, dict[str, float]]:
  """One batch, one step, and the metrics of the step before.

  Metrics are fetched when the next step is already on its way, so the device
  never waits for the host and the host is never more than a step ahead.
  """
  first, steps = int(state.step), config.train.steps
  meter = metrics.Meter(config.data.batch_size * len(made.views))

  def save(step: int, state: TrainState) -> None:
    saved.save(step, state, loader.data_state(source, step), config)

  with (
    metrics.MetricsWriter(workdir, first) as writer,
    Progress(steps, "steps", initial=first) as progress,
    guards.StopSignal() as stop,
    guards.Watchdog(config.train.patience) as watchdog,
  ):

    def fetch(step: int, scalars: Metrics) -> None:
      """Waits for a step's metrics, and reports them."""
      scalars = {k: float(v) for k, v in jax.device_get(scalars).items()}
      watchdog.step_ended()
      guards.check_finite(step, scalars)
      shown = meter.update(scalars, feed.take_wait())
      if step % config.train.log_every == 0 or step == steps:
        writer.write(step, meter.flush())
      progress.update(**shown)

    pending = None
    for step in range(first + 1, steps + 1):
      clips = mesh.to_devices(made.mesh, next(feed))
      with jax.transfer_guard_device_to_host("disallow"):
        state, scalars = made.train_step(state, clips)
      if pending:
        fetch(*pending)
      pending = (step, scalars)
      stopping = stop.reached(step)
      due = step % config.train.checkpoint_every == 0 or step == steps
      if due or stopping:
        # Never save a state whose loss has not been seen to be finite.
        fetch(*pending)
        pending = None
        save(step, state)
      if stopping and step < steps:
        saved.wait()
        raise Preempted(
          f"stopped by {stop.received} at step {step}, which is saved: rerun "
          "the same command to go on"
        )
  saved.wait()
  return state, meter.speed()
