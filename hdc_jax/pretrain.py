"""Task `pretrain`: setup, loop, teardown. Names no method and no backbone."""

import logging
from typing import Any

import jax
import ml_collections
import numpy as np

from hdc_jax import config as config_lib
from hdc_jax import report
from hdc_jax.data import loader, sources
from hdc_jax.errors import Preempted
from hdc_jax.progress import Progress
from hdc_jax.train import checkpoint, guards, metrics, sharding, trainer
from hdc_jax.train.step import Metrics, TrainState

_log = logging.getLogger(__name__)


def run(config: ml_collections.ConfigDict, workdir: str) -> dict[str, Any]:
  """Pretrains until `train.steps`, from the newest checkpoint if there is one.

  Args:
    config: Resolved; see `config.default`.
    workdir: Gets checkpoints/, metrics.jsonl, tensorboard/, config.json,
      result.json and report.html.

  Returns:
    What result.json holds.

  Raises:
    ConfigError, DataError: If config, data or checkpoint are wrong.
    NonFiniteError: If the loss becomes NaN or infinite.
    Preempted: If a signal stopped the run; its state is saved.
  """
  config_lib.require("config.train.steps", config.train.steps, "how many?")
  config_lib.require(
    "config.data.path",
    config.data.path,
    "name what `python -m hdc_jax.prepare` wrote, or a directory of videos",
  )
  mesh = sharding.make_mesh()
  sharding.check_batch_size(
    "config.data.batch_size", config.data.batch_size, mesh
  )
  made = trainer.make_trainer(config, mesh)
  source = sources.open(config.data.path, config.data.canvas)
  loader.check_clips(source, config.data, config.model.size)
  with checkpoint.Checkpoints(workdir, config.train.keep_checkpoints) as saved:
    state = restore_or_init(config, workdir, made, source, saved)
    log_setup(config, made, source, state)
    if int(state.step) < config.train.steps:
      metrics.write_config(workdir, config)
      train(config, workdir, made, source, saved, state)
    else:
      _log.info("%s is at step %d already", workdir, int(state.step))
  page = report.write(workdir, runs=[workdir])
  _log.info("report: %s", page)
  return metrics.read_result(workdir)


def restore_or_init(
  config: ml_collections.ConfigDict,
  workdir: str,
  made: trainer.Trainer,
  source: sources.Source,
  saved: checkpoint.Checkpoints,
) -> TrainState:
  """The newest checkpoint's state, or a fresh one, placed on the mesh.

  Raises:
    ConfigError, DataError: If the checkpoint is of another run.
  """
  if not saved.steps:
    return made.init_state()
  newest = saved.steps[-1]
  config_lib.check_same(
    config, saved.config(newest), config_lib.DECISIVE, str(workdir)
  )
  restored = made.restore_state(saved, newest)
  loader.check_data_state(source, restored.data)
  _log.info("resuming %s at step %d", workdir, newest)
  return restored.state


def log_setup(
  config: ml_collections.ConfigDict,
  made: trainer.Trainer,
  source: sources.Source,
  state: TrainState,
) -> None:
  """Says what is about to run."""
  sizes = [np.prod(p.shape) for p in jax.tree.leaves(state.params)]
  terms = ", ".join(f"{t.weight:g}·{t.name}" for t in made.method.terms)
  _log.info(
    "%s on %d × %s: %s parameters; loss = %s",
    config.model.name,
    made.mesh.devices.size,
    made.mesh.devices.flat[0].device_kind,
    f"{int(sum(sizes)):,}",
    terms,
  )
  videos = len(source.index.split(config.data.split))
  _log.info(
    "%s videos in %s (%s): %d steps of %d are %.1f epochs",
    f"{videos:,}",
    config.data.path,
    config.data.split,
    config.train.steps,
    config.data.batch_size,
    config.train.steps * config.data.batch_size / max(videos, 1),
  )


def train(
  config: ml_collections.ConfigDict,
  workdir: str,
  made: trainer.Trainer,
  source: sources.Source,
  saved: checkpoint.Checkpoints,
  state: TrainState,
) -> TrainState:
  """The loop: one batch, one step, and the metrics of the step before.

  Metrics are fetched when the next step is already on its way, so the device
  never waits for the host and the host is never more than a step ahead.

  Returns:
    The last state, saved.
  """
  first, steps = int(state.step), config.train.steps
  batches = loader.training_batches(
    source,
    config,
    clips=made.method.clips,
    first_step=first,
    process_index=jax.process_index(),
    process_count=jax.process_count(),
  )
  feed = loader.Feed(batches, config.data.max_bad)
  views = config.data.batch_size * len(made.method.views)
  meter = metrics.Meter(views)

  def save(step: int, state: TrainState) -> None:
    saved.save(step, state, loader.data_state(source, step), config)

  with (
    metrics.MetricsWriter(workdir, first) as writer,
    Progress(steps, "steps", initial=first) as progress,
    guards.StopSignal() as stop,
  ):

    def fetch(step: int, scalars: Metrics) -> None:
      """Waits for a step's metrics, and reports them."""
      scalars = {k: float(v) for k, v in jax.device_get(scalars).items()}
      guards.check_finite(step, scalars)
      shown = meter.update(scalars, feed.take_wait())
      if step % config.train.log_every == 0 or step == steps:
        writer.write(step, meter.flush())
      progress.update(**shown)

    pending = None
    for step in range(first + 1, steps + 1):
      clips = sharding.to_devices(made.mesh, next(feed))
      with jax.transfer_guard_device_to_host("disallow"):
        state, scalars = made.train_step(state, clips)
      if pending:
        fetch(*pending)
      pending = (step, scalars)
      due = step % config.train.checkpoint_every == 0 or step == steps
      if due or stop.received:
        # Never save a state whose loss has not been seen to be finite.
        fetch(*pending)
        pending = None
        save(step, state)
      if stop.received and step < steps:
        saved.wait()
        raise Preempted(
          f"stopped by {stop.received} at step {step}, which is saved: rerun "
          "the same command to go on"
        )
  saved.wait()
  metrics.write_result(
    workdir,
    {
      "task": "pretrain",
      "steps": steps,
      "config_fingerprint": config_lib.fingerprint(config),
      "data_fingerprint": source.index.fingerprint,
      **meter.speed(),
    },
  )
  return state
