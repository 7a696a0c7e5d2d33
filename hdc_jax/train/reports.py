"""Reports a training: metrics.jsonl, trackers, the progress line, warnings."""

import logging
from collections.abc import Callable, Mapping
from typing import Any

import jax

from hdc_jax.data.clips import loader
from hdc_jax.errors import Collapsed
from hdc_jax.objective import Metrics
from hdc_jax.runs import goodput, metrics
from hdc_jax.runs.trackers.tracking import Tracking
from hdc_jax.runtime.progress import Progress
from hdc_jax.train import bottleneck, monitor, probing, skipping
from hdc_jax.train.step import TrainState

_log = logging.getLogger(__name__)


class Reports:
  """Reports the metrics of every step, one step late.

  The metrics of a step are fetched after the next step has been dispatched. So
  the device never waits for the host, and the host is at most one step ahead.
  """

  def __init__(
    self,
    meter: metrics.Meter,
    judge: monitor.Monitor,
    *,
    feed: loader.Feed,
    writer: metrics.MetricsWriter,
    tracking: Tracking,
    progress: Progress,
    ledger: goodput.Ledger,
    skips: skipping.Skips,
    logged: Callable[[int], bool],
    stop_on_collapse: bool,
    waiting: bottleneck.Bottleneck,
  ) -> None:
    """Keeps where the metrics come from, and where they go.

    Args:
      meter: Averages the metrics between logged steps.
      judge: Tells whether the network learns.
      feed: The batches, for the time that a step waits for its own, and for the
        ids of its videos.
      writer: Gets the metrics of logged steps.
      tracking: Gets them, too.
      progress: Gets every step.
      ledger: Is told where the time goes.
      skips: Counts the steps that were not finite.
      logged: Whether the metrics of a step are logged.
      stop_on_collapse: Whether the run ends when the network does not learn.
      waiting: Judges how long steps wait for videos.
    """
    self._meter, self._judge, self._feed = meter, judge, feed
    self._writer, self._progress = writer, progress
    self._ledger, self._skips = ledger, skips
    self._tracking, self._waiting = tracking, waiting
    self._logged, self._stop_on_collapse = logged, stop_on_collapse
    self._pending: tuple[int, list[str], Metrics, Metrics] | None = None

  def add(self, step: int, scalars: Metrics, health: Metrics) -> None:
    """Keeps the metrics of a step that has begun, and reports the one before.

    Args:
      step: Number of the step.
      scalars: Its metrics, still on the device; empty if its batch was passed
        over. A line of metrics has their means over the steps since the
        previous line that were not skipped.
      health: What is measured of its embeddings, if it is logged; also still on
        the device.
    """
    self.flush()
    self._pending = step, self._feed.ids, scalars, health

  def flush(self) -> None:
    """Waits for the last step, and reports it.

    Raises:
      Collapsed: If the network does not learn and the run is to end then.
      NonFiniteError: If too many steps in a row were not finite.
    """
    if self._pending is None:
      return
    step, ids, *on_device = self._pending
    self._pending = None
    scalars, measured = (
      {name: float(value) for name, value in part.items()}
      for part in jax.device_get(on_device)
    )
    skipped = not scalars or self._skips.add(step, scalars, ids)
    scalars.pop("skipped", None)
    shown = self._meter.update(
      None if skipped else scalars, self._feed.take_wait()
    )
    findings = []
    if self._logged(step):
      # What is measured of a skipped step may not be finite.
      line = self._meter.flush() | ({} if skipped else measured)
      self._write(step, line)
      self._ledger.tick()
      if warning := self._waiting.judge(line["data_wait"]):
        _log.warning("%s", warning)
      findings = self._judge.add({"step": step} | line)
    self._progress.update(**shown, **self._judge.summary)
    for finding in findings:
      message = f"{finding.word} at step {step}: {finding.advice}"
      if self._stop_on_collapse:
        raise Collapsed(message)
      _log.warning("%s", message)

  def probe(
    self, probe: probing.Probing, step: int, state: TrainState
  ) -> Mapping[str, float]:
    """Measures the network after a step, and reports it.

    The time does not count for the speed of the training. The watchdog gives
    the measurement as long as a step.

    Args:
      probe: What is measured.
      step: Number of the step.
      state: The state after the step.

    Returns:
      The measurements by name.
    """
    # A run that is to end does not measure its state.
    self.flush()
    with self._ledger.spend("probe"), self._progress.phase("probing"):
      measured = probe.measure(state)
    self._meter.pause()
    self._write(step, measured)
    return measured

  def summary(self) -> dict[str, Any]:
    """The speed of the training, see `Meter.speed`, and its health."""
    return self._meter.speed() | self._judge.summary

  def _write(self, step: int, values: Mapping[str, float]) -> None:
    """Writes values to metrics.jsonl, and gives them to the trackers."""
    self._writer.write(step, values)
    self._tracking.scalars(step, values)
