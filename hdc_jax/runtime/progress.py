"""Progress that suits both a person at a terminal and a log file."""

import sys
import time

import tqdm

INTERVAL = 10.0  # Seconds between two lines where stderr is no terminal.


class Progress:
  """Counts towards a total on stderr: a bar on a terminal, else plain lines.

  Attributes:
    shown: Whether progress is shown at all. A class attribute, which switches
      all instances at once.

  Example:
    ```
    with Progress(steps, "steps", "pretrain") as progress:
      for _ in range(steps):
        progress.update(loss=1.234)
    ```
  """

  shown = True

  def __init__(
    self, total: int, unit: str, label: str = "", initial: int = 0
  ) -> None:
    """Starts the clock.

    Args:
      total: The count at the end, `initial` included.
      unit: What is counted, in the plural.
      label: Text in front of the count.
      initial: The count at the start; it does not enter the rate.
    """
    self._total, self._unit, self._label = total, unit, label
    self._initial = self._count = self._printed_count = initial
    self._stats: dict[str, str | float] = {}
    self._start_time = self._printed_time = time.monotonic()
    self._bar = None
    if self.shown and sys.stderr.isatty():
      self._bar = tqdm.tqdm(
        total=total,
        initial=initial,
        desc=label or None,
        unit=f" {unit}",
        dynamic_ncols=True,
      )

  def update(self, n: int = 1, /, **stats: str | float) -> None:
    """Advances the count; shows it if the last time is long enough ago.

    Args:
      n: How much to add to the count.
      **stats: Values to show behind the count, by name. Each stays until
        another value of the same name replaces it.
    """
    self._count += n
    self._stats |= stats
    if self._bar is not None:
      self._bar.set_postfix_str(self._describe_stats(), refresh=False)
      self._bar.update(n)
    elif time.monotonic() - self._printed_time >= INTERVAL:
      self._print()

  def close(self) -> None:
    """Shows the final count."""
    if self._bar is not None:
      self._bar.close()
    elif self._count > self._printed_count:
      self._print()

  def __enter__(self) -> "Progress":
    """Returns itself."""
    return self

  def __exit__(self, *_: object) -> None:
    """Shows the final count."""
    self.close()

  def _print(self) -> None:
    if not self.shown:
      return
    self._printed_time, self._printed_count = time.monotonic(), self._count
    elapsed = max(self._printed_time - self._start_time, 1e-9)
    rate = (self._count - self._initial) / elapsed
    words = [f"{self._label}: " if self._label else ""]
    words += [f"{self._count}/{self._total} {self._unit}, {rate:.3g}/s"]
    if self._count < self._total and rate:
      words += [f", {_clock((self._total - self._count) / rate)} left"]
    if self._stats:
      words += [f", {self._describe_stats()}"]
    print("".join(words), file=sys.stderr, flush=True)

  def _describe_stats(self) -> str:
    return ", ".join(
      f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
      for name, value in self._stats.items()
    )


def _clock(seconds: float) -> str:
  """Formats a duration as H:MM:SS."""
  minutes, seconds = divmod(round(seconds), 60)
  hours, minutes = divmod(minutes, 60)
  return f"{hours}:{minutes:02d}:{seconds:02d}"
