"""Which options the compiler is given."""

import jax
import numpy as np
import pytest

from hdc_jax.distributed import mesh as mesh_lib


@pytest.mark.parametrize("once", [False, True])
def test_an_option_that_xla_does_not_know_is_left_out(monkeypatch, once):
  mesh = mesh_lib.make_mesh(1)
  known = mesh_lib.compiler_options(mesh, once)
  takes = mesh_lib._cpu_compiler_takes
  monkeypatch.setattr(
    mesh_lib,
    "_cpu_compiler_takes",
    lambda name, value: takes(f"{name}_of_another_version", value),
  )
  assert len(known) == 1
  assert mesh_lib.compiler_options(mesh, once) is None
  add = mesh_lib.jit(lambda state, batch: state + batch.sum(), mesh)
  assert add(1, np.ones(2)) == 3
  assert mesh_lib.run_once(lambda: 3, mesh) == 3


def test_other_errors_of_the_probe_are_raised():
  """A value that is refused is a bug of ours."""
  with pytest.raises(jax.errors.JaxRuntimeError, match="three"):
    mesh_lib._cpu_compiler_takes("xla_backend_optimization_level", "three")
