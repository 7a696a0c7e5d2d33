"""Traces of steps, on a disk and in a bucket."""

import jax
import pytest

from hdc_jax.train import profiling


def traces(local):
  """The traces that were written."""
  return sorted((local / "profile").rglob("*.xplane.pb"))


def steps_in(path):
  """The numbers of the steps in a trace."""
  data = jax.profiler.ProfileData.from_file(str(path))
  return sorted(
    int(value)
    for plane in data.planes
    for line in plane.lines
    for event in line.events
    if event.name == "train"
    for name, value in event.stats
    if name == "step_num"
  )


def run(workdir, steps, first, last):
  with profiling.Profiler(workdir, steps) as profiler:
    for step in range(first, last + 1):
      with profiler.step(step):
        result = jax.numpy.ones(3) + step
      profiler.end(step, result)


@pytest.mark.parametrize(
  ("first", "last", "traced"),
  [
    (1, 9, [3, 4, 5]),
    (4, 9, [4, 5]),  # resumed in between
    (1, 4, [3, 4]),  # ended before
  ],
)
def test_the_steps_that_are_named_are_traced(tmp_path, first, last, traced):
  run(tmp_path, (3, 5), first, last)
  (path,) = traces(tmp_path)
  assert steps_in(path) == traced


def test_in_a_bucket(buckets):
  run("gs://b/run", (3, 5), 1, 9)
  (path,) = traces(buckets / "b" / "run")
  assert steps_in(path) == [3, 4, 5]


@pytest.mark.parametrize(("steps", "first"), [((), 1), ((3, 5), 6)])
def test_none_is_traced(tmp_path, steps, first):
  run(tmp_path, steps, first, 9)
  assert not list(tmp_path.iterdir())
