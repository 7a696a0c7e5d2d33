"""Traces of some steps, which show where their time goes."""

import contextlib
import logging
import os
import pathlib
import tempfile
from collections.abc import Iterator
from typing import Any

import jax
from etils import epath

from hdc_jax.runtime import buckets, files

PROFILE = "profile"

_log = logging.getLogger(__name__)


class Profiler:
  """Traces the device and the host from one step to another, for XProf.

  A context manager, which ends a trace that is under way.
  """

  def __init__(self, workdir: epath.PathLike, steps: tuple[int, ...]) -> None:
    """Says which steps are traced.

    Args:
      workdir: Directory of the run; the trace goes to profile/ in it.
      steps: The first and the last step; empty to trace none. A run that goes
        on between them is traced from there on.
    """
    self._workdir = epath.Path(workdir)
    self._steps = range(steps[0], steps[1] + 1) if steps else range(0)
    self._trace: contextlib.ExitStack | None = None

  def __enter__(self) -> "Profiler":
    return self

  def __exit__(self, *_: object) -> None:
    self._stop()

  @contextlib.contextmanager
  def step(self, step: int) -> Iterator[None]:
    """Names a step in the trace, which begins if it is the first.

    Args:
      step: Number of the step.
    """
    if step not in self._steps:
      yield
      return
    if self._trace is None:
      self._start()
    with jax.profiler.StepTraceAnnotation("train", step_num=step):
      yield

  def end(self, step: int, result: Any) -> None:
    """Ends the trace after its last step.

    Args:
      step: Number of the step.
      result: What the step computes; the trace ends when it is there.
    """
    if self._trace is not None and step >= self._steps[-1]:
      jax.block_until_ready(result)
      self._stop()

  def _start(self) -> None:
    self._trace = contextlib.ExitStack()
    local = os.fspath(self._workdir / PROFILE)
    if buckets.is_remote(self._workdir):
      local = self._trace.enter_context(tempfile.TemporaryDirectory())
      self._trace.callback(self._upload, pathlib.Path(local))
    jax.profiler.start_trace(local)
    self._trace.callback(jax.profiler.stop_trace)

  def _stop(self) -> None:
    if self._trace is not None:
      self._trace.close()
      self._trace = None
      _log.info(
        "traced steps %d to %d: xprof --logdir=%s shows them",
        self._steps[0],
        self._steps[-1],
        self._workdir / PROFILE,
      )

  def _upload(self, local: pathlib.Path) -> None:
    """Copies the files of a trace to a bucket."""
    for path in local.rglob("*"):
      if path.is_file():
        place = self._workdir / PROFILE / path.relative_to(local).as_posix()
        files.write(place, path.read_bytes())
