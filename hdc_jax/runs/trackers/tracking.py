"""Tells the trackers of a run what it does, without ever waiting for them."""

import contextlib
import json
import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
from etils import epath

from hdc_jax.errors import StorageError
from hdc_jax.runs.trackers import TRACKERS
from hdc_jax.runs.trackers.base import Tracked, Tracker
from hdc_jax.runtime import files

# The ids that trackers gave the run, and where each shows it.
TRACKERS_FILE = "trackers.json"
# Calls that may wait for a tracker, which is left out if it is further behind.
_MOST_WAITING = 1000
# Seconds that all trackers together have to send the rest when a run ends. A
# run that is stopped has 30 in all, and has saved its state before.
_CLOSING_SECONDS = 15.0

_log = logging.getLogger(__name__)


class Tracking:
  """The trackers of one run. A context manager; only process 0 tracks.

  Each tracker has a thread of its own. One that fails, hangs or falls far
  behind is named in a warning and left out from there on.
  """

  def __init__(
    self,
    workdir: epath.PathLike,
    names: Sequence[str],
    config: Mapping[str, Any],
  ) -> None:
    """Says which trackers there are; none is used before `begin`.

    Args:
      workdir: Directory of the run. It gets trackers.json.
      names: Keys of `TRACKERS`.
      config: Values of all fields of the config, by dotted name.
    """
    self._workdir = files.absolute(workdir)
    self._names, self._config = names, config
    self._trackers: list[_Worker] = []
    self._lock = threading.Lock()
    self._known: dict[str, dict[str, str]] = {}

  def __enter__(self) -> "Tracking":
    return self

  def __exit__(self, *_: object) -> None:
    until = time.monotonic() + _CLOSING_SECONDS
    for tracker in self._trackers:
      tracker.end()
    for tracker in self._trackers:
      tracker.wait(max(until - time.monotonic(), 0.0))
    self._trackers = []

  def begin(self, first_step: int) -> None:
    """Starts the trackers.

    Args:
      first_step: Step at which the run starts.
    """
    if jax.process_index() != 0:
      return
    self._known = dict(read_known(self._workdir))
    for name in self._names:
      run_id = self._known.get(name, {}).get("id", "")
      run = Tracked(self._workdir, self._config, first_step, run_id)
      self._trackers.append(_Worker(name, run, self._started))

  @property
  def active(self) -> bool:
    """Whether there is a tracker that shows the run."""
    return any(not tracker.left_out for tracker in self._trackers)

  def wait_for_places(self) -> None:
    """Waits until it is known where the run is seen, or for some seconds."""
    until = time.monotonic() + _CLOSING_SECONDS
    for tracker in self._trackers:
      tracker.begun.wait(max(until - time.monotonic(), 0.0))

  def scalars(self, step: int, values: Mapping[str, float]) -> None:
    """Adds a point to each curve.

    Args:
      step: Step of the values.
      values: Values by name.
    """
    for tracker in self._trackers:
      tracker.call(lambda t: t.scalars(step, values))

  def report(
    self, step: int, pictures: Mapping[str, bytes], page: str = ""
  ) -> None:
    """Shows the report of a run.

    Args:
      step: Step of the network that it is of.
      pictures: Its figures and pictures, PNG, by title.
      page: The report itself, as HTML; '' for none.
    """
    for tracker in self._trackers:
      for title, png in pictures.items():
        tracker.call(lambda t, x=(step, title, png): t.picture(*x))
      if page:
        tracker.call(lambda t: t.page(step, page))

  def _started(self, name: str, tracker: Tracker) -> None:
    """Keeps the id of a tracker's run, with which a resumed run goes on."""
    if tracker.place:
      _log.info("%s: %s", name, tracker.place)
    if not (tracker.run_id or tracker.place):
      return
    known = {"id": tracker.run_id, "place": tracker.place}
    with self._lock:
      self._known[name] = known
      text = json.dumps(self._known, indent=2) + "\n"
      files.write(self._workdir / TRACKERS_FILE, text.encode())


class _Worker:
  """The thread of a tracker.

  Attributes:
    left_out: Whether the tracker has failed and is used no more.
    begun: Is set when the tracker has begun, or has failed to.
  """

  def __init__(
    self, name: str, run: Tracked, started: Callable[[str, Tracker], None]
  ) -> None:
    """Starts the thread.

    Args:
      name: A key of `TRACKERS`.
      run: The run.
      started: Is called with the name and the tracker when it has begun.
    """
    self._name, self._run_of, self._started = name, run, started
    self._calls: queue.Queue[Callable[[Tracker], None] | None] = queue.Queue(
      _MOST_WAITING
    )
    self._lock = threading.Lock()
    self.left_out = False
    self.begun = threading.Event()
    self._thread = threading.Thread(
      target=self._run, name=f"tracker {name}", daemon=True
    )
    self._thread.start()

  def call(self, use: Callable[[Tracker], None] | None) -> None:
    """Lets the thread use the tracker, after all that it was told before.

    Args:
      use: A function of the tracker; None to close it.
    """
    if self.left_out:
      return
    try:
      self._calls.put_nowait(use)
    except queue.Full:
      self._leave_out(f"it is {_MOST_WAITING} calls behind")

  def end(self) -> None:
    """Lets the thread close the tracker after all that it was told before."""
    self.call(None)

  def wait(self, seconds: float) -> None:
    """Waits for the thread, unless the tracker is left out.

    Args:
      seconds: Time after which the tracker is left out.
    """
    if self.left_out:
      return
    self._thread.join(seconds)
    if self._thread.is_alive():
      self._leave_out(f"it did not end within {_CLOSING_SECONDS:g} seconds")

  def _run(self) -> None:
    tracker = None
    try:
      tracker = TRACKERS[self._name](self._run_of)
      self._try_started(tracker)
      self.begun.set()
      while not self.left_out and (use := self._calls.get()) is not None:
        use(tracker)
      tracker.close()
    # Whatever a library raises, also SystemExit, is no reason to end a run.
    except BaseException as error:
      self._leave_out(f"{type(error).__name__}: {error}")
      if tracker is not None:
        with contextlib.suppress(BaseException):
          tracker.close()

  def _try_started(self, tracker: Tracker) -> None:
    """Keeps the id; a disk that fails is a warning, as for other files."""
    try:
      self._started(self._name, tracker)
    except (OSError, StorageError) as error:
      _log.warning("%s is not written: %s", TRACKERS_FILE, error)

  def _leave_out(self, reason: str) -> None:
    """Names the tracker once, and uses it no more."""
    with self._lock:
      known, self.left_out = self.left_out, True
    self.begun.set()
    if not known:
      _log.warning(
        "tracker %s is left out from here on, and the run goes on: %s",
        self._name,
        " ".join(reason.split()),
      )


def read_known(workdir: epath.PathLike) -> dict[str, dict[str, str]]:
  """Reads trackers.json.

  Args:
    workdir: Directory of a run.

  Returns:
    'id' and 'place' of the run in each tracker, by its name; those that cannot
    be read are left out.
  """
  path = epath.Path(workdir) / TRACKERS_FILE
  try:
    found = json.loads(files.read_text(path)) if files.exists(path) else {}
    return {
      str(name): {key: str(known[key]) for key in ("id", "place")}
      for name, known in found.items()
    }
  except (
    StorageError,
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
  ):
    return {}
