"""The training loop, which knows no method, backbone or task."""

import contextlib
import logging
import signal
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax
import numpy as np

from hdc_jax.checkpoints import saving
from hdc_jax.data import sources
from hdc_jax.data.clips import loader, training_clips
from hdc_jax.distributed import mesh
from hdc_jax.errors import Preempted
from hdc_jax.runs import goodput, metrics, results
from hdc_jax.runs.trackers.tracking import Tracking
from hdc_jax.runtime import watchdog
from hdc_jax.runtime.progress import Progress
from hdc_jax.train import (
  bottleneck,
  guards,
  monitor,
  probing,
  profiling,
  reports,
  resuming,
)
from hdc_jax.train.options import Run
from hdc_jax.train.step import TrainState
from hdc_jax.train.training import Training

_log = logging.getLogger(__name__)


def fit(
  run: Run,
  training: Training,
  cut: training_clips.CutClips,
  *,
  initial: Callable[[], TrainState] | None = None,
  probe: probing.Probing | None = None,
  keep_best: str = "",
  ledger: goodput.Ledger | None = None,
  tracking: Tracking | None = None,
) -> tuple[TrainState, dict[str, Any]]:
  """Trains until `train.steps`, from the newest checkpoint if there is one.

  Args:
    run: Length, batches and directory of the run.
    training: The objective and its train step.
    cut: Cuts the clips out of the videos to learn from.
    initial: Makes the first state, by default with random weights.
    probe: What is measured of the network on the way, and when.
    keep_best: Name of a measurement of the probe; a checkpoint is saved
      whenever it is higher than in all checkpoints, and the best is kept.
    ledger: Where the time of the run goes, from when the ledger is made; by
      default from now on.
    tracking: The trackers, which are begun; by default none.

  Returns:
    The last state, which is saved; and the speed, see `Meter.speed`, with the
    `health`, see `Monitor.word`, if the loss compares embeddings, the number of
    steps that were `skipped`, if any were, and the `changes` with which the run
    was resumed, if there were any. A run that was complete already has no
    speed.

  Raises:
    Collapsed: If the network does not learn and the run is to end then.
    ConfigError: If the run directory holds a run with another config.
    DataError: If the data or a checkpoint is damaged, or is of another run.
    NonFiniteError: If the loss, gradient or update of too many steps in a row
      is not finite.
    Preempted: If a signal stopped the run; its state is saved.
    StorageError: If checkpoints cannot be saved or read.
  """
  ledger = ledger or goodput.Ledger(run.workdir)
  tracking = tracking or Tracking(run.workdir, (), {})
  keep = run.train.keep_checkpoints
  with saving.Checkpoints(run.workdir, keep, keep_best) as saved:
    saved.clean()
    state, past = resuming.restore(run, training, cut, saved)
    if state is None:
      state = (initial or training.init_state)()
    _log_setup(run, training, cut, state)
    if int(state.step) >= run.train.steps:
      _log.info("%s is at step %d already", run.workdir, int(state.step))
      logged = metrics.read_metrics(run.workdir)
      return state, _monitor(run, training, logged).summary | past.summary
    with results.only_warning(results.CONFIG):
      results.write_config(run.workdir, run.config.values)
    batches = loader.training_batches(
      cut,
      run.loading,
      batch_size=run.batches.batch_size,
      seed=run.seed,
      first_step=int(state.step),
      process_index=jax.process_index(),
      process_count=jax.process_count(),
      lanes=run.lanes,
    )
    feed = loader.Feed(batches, run.batches.max_bad)
    ledger.resume(int(state.step))
    tracking.begin(int(state.step))
    # What is read ahead would else be read to its end before the program ends.
    with contextlib.closing(batches):
      return _train(
        run,
        training,
        cut.source,
        saved,
        state,
        past,
        feed,
        probe,
        ledger,
        tracking,
      )


def _monitor(
  run: Run, training: Training, history: Iterable[Mapping[str, float]]
) -> monitor.Monitor:
  """Judges the run by what it has logged so far, and will log."""
  chance = training.objective.chance(run.batches.batch_size)
  return monitor.Monitor(chance, run.train.steps, history)


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
  saved: saving.Checkpoints,
  state: TrainState,
  past: resuming.Past,
  feed: loader.Feed,
  probe: probing.Probing | None,
  ledger: goodput.Ledger,
  tracking: Tracking,
) -> tuple[TrainState, dict[str, Any]]:
  """Takes the remaining steps, and measures and saves the state on the way."""
  first, steps = int(state.step), run.train.steps
  passed_over = run.train.passed_over
  history = metrics.read_metrics(run.workdir)
  history = [line for line in history if line["step"] <= first]
  with (
    metrics.MetricsWriter(run.workdir, first) as writer,
    Progress(steps, "steps", initial=first) as progress,
    watchdog.limited(
      "a step or a probe", run.train.patience, "config.train.patience"
    ),
    profiling.Profiler(run.workdir, run.train.profile) as profiler,
    contextlib.ExitStack() as stack,
  ):
    size, objective = run.batches.batch_size, training.objective
    reporting = reports.Reports(
      metrics.Meter(size * len(objective.views)),
      _monitor(run, training, history),
      feed=feed,
      writer=writer,
      tracking=tracking,
      progress=progress,
      ledger=ledger,
      skips=past.skips,
      logged=run.train.logged,
      stop_on_collapse=run.stop_on_collapse,
      waiting=bottleneck.Bottleneck(run.loading, source.index.codec),
    )
    if probe and probe.missing(run.workdir, first):
      reporting.probe(probe, first, state)
    stop = None
    for step in range(first + 1, steps + 1):
      with ledger.spend("input"):
        batch = next(feed)
      clips = mesh.to_devices(training.mesh, batch)
      with contextlib.ExitStack() as scope:
        if stop is None:
          scope.enter_context(ledger.spend("compile"))
          scope.enter_context(progress.phase("compiling the train step"))
          seconds = watchdog.COMPILE_SECONDS
          scope.enter_context(watchdog.limited("compiling", seconds))
        scope.enter_context(jax.transfer_guard_device_to_host("disallow"))
        scope.enter_context(profiler.step(step))
        scalars, health = {}, {}
        if step in passed_over:
          state = training.skip(state)
        else:
          state, scalars, pairs = training.train_step(state, clips)
          if run.train.logged(step):
            health = training.measure(pairs)
      # Before, a signal ends the run at once: nothing is lost.
      stop = stop or stack.enter_context(guards.StopSignal())
      reporting.add(step, scalars, health)
      profiler.end(step, scalars)
      saved.check(agree=run.train.logged(step))
      stopping = stop.reached()
      measured: Mapping[str, float] = {}
      if probe and probe.due(step, steps) and not stopping:
        try:
          measured = reporting.probe(probe, step, state)
          # A signal may have come meanwhile.
          stopping = stop.received is not None
        except Preempted:
          stop.received, stopping = signal.SIGTERM.name, True
      due = step % run.train.checkpoint_every == 0 or step == steps
      if due or stopping or saved.is_best(measured):
        # Check that the run is in order before its state is saved.
        reporting.flush()
        data = loader.data_state(source, step) | past.saved
        with ledger.spend("checkpoint"):
          saved.save(step, state, data, run.config.values, measured)
        ledger.saved(step)
      if stopping and step < steps:
        with ledger.spend("checkpoint"):
          saved.wait()
        ledger.write()
        raise Preempted(
          f"stopped by {stop.received} at step {step}, which is saved: rerun "
          "the same command to go on"
        )
  with ledger.spend("checkpoint"):
    saved.wait()
  ledger.write()
  return state, reporting.summary() | past.summary
