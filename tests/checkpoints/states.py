"""Checkpoints of a state of a few numbers, and storage that fails."""

import contextlib
import os
import pathlib
import resource
import shutil
import sys

import flax.struct
import numpy as np

from hdc_jax.checkpoints import saving

CONFIG = {"model": {"name": "r3d18", "stem": (3, 7, 7)}, "train": {}}
# Errors that the next opening of a file raises, by the end of its path.
_FAILING = {}


@flax.struct.dataclass
class State:
  """As much of a training's state as a checkpoint has to know."""

  step: object
  params: object


def state(step, size=100):
  """A state that differs with the step, in all bits."""
  random = np.random.default_rng(step)
  kernel = random.standard_normal(size, np.float32)
  return State(np.full((), step, np.int32), {"backbone": {"kernel": kernel}})


def save(workdir, *steps, size=100, **how):
  """Saves the state of each step."""
  with saving.Checkpoints(workdir, **how) as saved:
    for step in steps:
      saved.save(step, state(step, size), {"step": step}, CONFIG)
      saved.wait()
  return workdir / "checkpoints"


def equals(restored, step):
  """Whether a restored state is that of a step, bit for bit."""
  want = state(step).params["backbone"]["kernel"]
  got = np.asarray(restored.state.params["backbone"]["kernel"])
  return restored.data == {"step": step} and got.tobytes() == want.tobytes()


def files(directory):
  """All files of a checkpoint."""
  # Orbax gives paths that are not searched recursively.
  found = pathlib.Path(directory).rglob("*")
  return sorted(path for path in found if path.is_file())


@contextlib.contextmanager
def put_back(directory):
  """Lets a directory be as it was before."""
  copy = directory.with_name(f"{directory.name}-before")
  shutil.copytree(directory, copy)
  try:
    yield
  finally:
    shutil.rmtree(directory)
    copy.rename(directory)


@contextlib.contextmanager
def failing(path, number):
  """Lets each opening of a file fail with an error number."""
  if not _FAILING:
    sys.addaudithook(_fail)
  _FAILING[os.fspath(path)] = number
  try:
    yield
  finally:
    _FAILING[os.fspath(path)] = 0


def _fail(event, arguments):
  if event != "open" or not isinstance(arguments[0], str):
    return
  if number := _FAILING.get(arguments[0]):
    raise OSError(number, os.strerror(number), arguments[0])


@contextlib.contextmanager
def no_file_longer_than(size):
  """Lets writing fail as on a full disk, also that of other languages."""
  limits = resource.getrlimit(resource.RLIMIT_FSIZE)
  resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
  try:
    yield
  finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
