"""The event files of TensorBoard."""

import contextlib
import io
import os
import platform
import tempfile
import time
from collections.abc import Mapping
from typing import Any

from etils import epath
from PIL import Image
from tensorboardX import RecordWriter
from tensorboardX.summary import Summary, scalar
from tensorboardX.writer import Event, SessionLog

from hdc_jax.runs.trackers.base import Tracked, Tracker
from hdc_jax.runtime import buckets, files

TENSORBOARD = "tensorboard"
# Seconds from one upload to a bucket to the next.
_INTERVAL = 30.0


class TensorBoard(Tracker):
  """Writes an event file to RUN/tensorboard.

  Buckets store only whole files, so there the file is written every `_INTERVAL`
  seconds and at the end. It has no page: TensorBoard shows none.
  """

  package = "tensorboardX"

  def __init__(self, run: Tracked) -> None:
    """Opens a file, which hides the points that a resumed run repeats."""
    self._target = run.workdir / TENSORBOARD
    self._remote = buckets.is_remote(run.workdir)
    # Not one of another process, or of another start within the same second.
    name = (
      f"events.out.tfevents.{int(time.time())}.{platform.node()}."
      f"{os.getpid()}.{time.monotonic_ns()}"
    )
    with contextlib.ExitStack() as opened:
      local = os.fspath(self._target)
      if self._remote:
        local = opened.enter_context(tempfile.TemporaryDirectory())
      self._file = epath.Path(local) / name
      self._file.parent.mkdir(parents=True, exist_ok=True)
      self._events = RecordWriter(os.fspath(self._file))
      opened.callback(self._events.close)
      self._add(file_version="brain.Event:2")
      start = SessionLog(status=SessionLog.START)
      self._add(step=run.first_step + 1, session_log=start)
      self._events.flush()
      self._opened = opened.pop_all()
    self._uploaded = time.monotonic()

  def scalars(self, step: int, values: Mapping[str, float]) -> None:
    """Adds a point to each curve."""
    for name, value in values.items():
      self._add(step=step, summary=scalar(name, value))
    self._flush()

  def picture(self, step: int, title: str, png: bytes) -> None:
    """Adds a picture."""
    with Image.open(io.BytesIO(png)) as image:
      width, height = image.size
    shown = Summary.Image(
      height=height, width=width, colorspace=3, encoded_image_string=png
    )
    value = Summary.Value(tag=title, image=shown)
    self._add(step=step, summary=Summary(value=[value]))
    self._flush()

  def page(self, step: int, html: str) -> None:
    """Does nothing."""

  def close(self) -> None:
    """Closes the file."""
    with self._opened:
      self._events.flush()
      if self._remote:
        self._upload()

  def _add(self, **content: Any) -> None:
    event = Event(wall_time=time.time(), **content)
    self._events.write(event.SerializeToString())

  def _flush(self) -> None:
    self._events.flush()
    if self._remote and time.monotonic() - self._uploaded >= _INTERVAL:
      self._upload()

  def _upload(self) -> None:
    self._uploaded = time.monotonic()
    files.write(self._target / self._file.name, self._file.read_bytes())
