"""Progress that suits both a person at a terminal and a log file."""

import contextlib
import sys
import threading
import time
from collections.abc import Iterator

import tqdm

from hdc_jax.runtime import watchdog

INTERVAL = 10.0  # Seconds between two lines where stderr is no terminal.
_TICK = 1.0  # Seconds between two looks at the clock on a terminal.


class Progress:
  """Counts towards a total on stderr: a bar on a terminal, else plain lines.

  The rate and the time that is left do not count what comes before the first
  update, such as a compilation.

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
    self,
    total: int,
    unit: str,
    label: str = "",
    initial: int = 0,
    shown: bool = True,
  ) -> None:
    """Shows the count at the start.

    Args:
      total: The count at the end, `initial` included.
      unit: What is counted, in the plural.
      label: Text in front of the count.
      initial: The count at the start; it does not enter the rate.
      shown: Whether this progress is shown, if progress is shown at all.
    """
    self.shown = self.shown and shown
    self._total, self._unit, self._label = total, unit, label
    self._count = self._printed_count = initial
    self._stats: dict[str, str | float] = {}
    # Count and time at the first update, from which the rate is measured.
    self._first: tuple[int, float] | None = None
    self._printed_time = time.monotonic()
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
    watchdog.progressed()
    self._count += n
    self._stats |= stats
    begins = self._first is None
    self._first = self._first or (self._count, time.monotonic())
    if self._bar is not None:
      self._bar.set_postfix_str(self._describe_stats(), refresh=False)
      if begins:
        self._begin_rate(self._bar)
      else:
        self._bar.update(n)
    elif time.monotonic() - self._printed_time >= INTERVAL:
      self._print()

  @contextlib.contextmanager
  def phase(self, name: str) -> Iterator[None]:
    """Shows what is being done before the count goes on, and for how long.

    Args:
      name: What is being done, such as 'compiling the train step'.
    """
    watchdog.progressed()
    start, over = time.monotonic(), threading.Event()
    ticking = threading.Thread(target=self._tick, args=(over,), daemon=True)
    if self._bar is not None:
      self._bar.set_description_str(name)
      ticking.start()
    elif self.shown:
      print(f"{name} …", file=sys.stderr, flush=True)
    try:
      yield
    finally:
      over.set()
      watchdog.progressed()
      if self._bar is not None:
        ticking.join()
        self._bar.set_description_str(self._label or None)
      elif self.shown:
        took = _clock(time.monotonic() - start)
        print(f"{name} took {took}", file=sys.stderr, flush=True)

  def _tick(self, over: threading.Event) -> None:
    """Lets the clock of the bar go on until a phase is over."""
    while not over.wait(_TICK):
      if self._bar is not None:
        self._bar.refresh()

  def _begin_rate(self, bar: tqdm.tqdm) -> None:
    """Shows the first count on a bar, which measures the rate from there."""
    bar.n = bar.initial = bar.last_print_n = self._count
    bar.unpause()
    bar.refresh()

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
    count, start = self._first or (self._count, self._printed_time)
    elapsed = max(self._printed_time - start, 1e-9)
    rate = (self._count - count) / elapsed
    words = [f"{self._label}: " if self._label else ""]
    words += [f"{self._count}/{self._total} {self._unit}"]
    if rate:
      words += [f", {rate:.3g}/s"]
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
