"""Saves, fails and restores in every process of a cluster.

Its arguments: those of `hosts.join`, and the directory of a run.
"""

import contextlib
import pathlib
import sys
import time

import jax
import numpy as np

from hdc_jax.checkpoints import saving
from hdc_jax.distributed import mesh as mesh_lib
from hdc_jax.errors import DataError, StorageError
from tests import hosts
from tests.checkpoints import states


def make_state(step, mesh):
  """A state of which each device has one row, and a copy of the rest."""
  local = states.state(step, size=50_000)
  rows = np.arange(32, dtype=np.float32).reshape(8, 4) + step
  shardings = states.State(
    mesh_lib.replicated(mesh),
    {
      "backbone": {"kernel": mesh_lib.replicated(mesh)},
      "queue": mesh_lib.batched(mesh),
    },
  )
  whole = local.replace(params=local.params | {"queue": rows})
  return whole, jax.tree.map(
    lambda x, s: jax.make_array_from_callback(x.shape, s, x.__getitem__),
    whole,
    shardings,
  )


def save(saved, step, mesh):
  saved.save(step, make_state(step, mesh)[1], {"step": step}, states.CONFIG)


def check_equal(saved, step, mesh):
  whole, arrays = make_state(step, mesh)
  restored = saved.restore(step, arrays).state
  for got, want in zip(*map(jax.tree.leaves, (restored, whole)), strict=True):
    for shard in got.addressable_shards:
      np.testing.assert_array_equal(shard.data, want[shard.index])


def main(arguments):
  (workdir,) = map(pathlib.Path, hosts.join(arguments))
  first = jax.process_index() == 0
  mesh = mesh_lib.make_mesh()
  full_disk = states.no_file_longer_than if first else contextlib.nullcontext
  with saving.Checkpoints(workdir) as saved:
    save(saved, 1, mesh)
    saved.wait()
    start = time.monotonic()
    with full_disk(10_000):
      for step in range(2, 2 + saving.MOST_FAILURES):
        save(saved, step, mesh)
        while first and saved._outcome is None:
          saved.check(agree=False)
        if step < 1 + saving.MOST_FAILURES:
          saved.check()
          assert saved.steps == [1], saved.steps
          continue
        try:
          saved.check()
        except StorageError as error:
          assert "File too large" in str(error)
        else:
          raise AssertionError("all processes end")
    assert time.monotonic() - start < 60
    save(saved, 5, mesh)
    saved.wait()
  path = workdir / "checkpoints"
  if first:
    for file in states.files(path / "5" / "state")[:1]:
      file.write_bytes(b"")
  with saving.Checkpoints(workdir) as saved:
    assert saved.newest_whole(set_aside=True) == 1
    check_equal(saved, 1, mesh)
    if first:
      assert sorted(p.name for p in path.iterdir()) == ["1", "5.damaged"]
      (path / "1" / "data" / "metadata").unlink()
  with saving.Checkpoints(workdir) as saved:
    for read in (saved.newest_whole, lambda: check_equal(saved, 1, mesh)):
      try:
        read()
      except DataError as error:
        assert "1 is damaged: data/metadata is missing" in str(error)
      else:
        raise AssertionError("all processes end")


if __name__ == "__main__":
  main(sys.argv[1:])
