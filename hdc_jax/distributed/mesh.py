"""Where arrays live: one axis, 'data', over all devices of all hosts."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from hdc_jax.errors import ConfigError


def make_mesh(devices: int | Sequence[jax.Device] | None = None) -> Mesh:
  """A mesh along 'data', in which the devices of each process are neighbours.

  So each process has a contiguous part of every global batch, as the loader
  gives it, and the order of the whole does not depend on the processes.
  (`jax.make_mesh` puts devices in an order that suits the links of a TPU, which
  exchanges among all of them do not depend on.)

  Args:
    devices: Which, or how many of those there are; by default all.
  """
  if devices is None or isinstance(devices, int):
    devices = jax.devices()[:devices]
  ordered = sorted(devices, key=lambda chip: (chip.process_index, chip.id))
  return Mesh(np.array(ordered), ("data",), axis_types=(AxisType.Auto,))


def replicated(mesh: Mesh) -> NamedSharding:
  """The same value on every device: params and optimizer state."""
  return NamedSharding(mesh, PartitionSpec())


def batched(mesh: Mesh) -> NamedSharding:
  """The leading axis split over all devices: clips and embeddings."""
  return NamedSharding(mesh, PartitionSpec("data"))


def abstract(tree: Any, mesh: Mesh) -> Any:
  """Shapes and dtypes of a tree's leaves, replicated over the mesh."""
  return jax.tree.map(
    lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=replicated(mesh)),
    tree,
  )


def abstract_batch(
  shapes: Mapping[str, tuple[tuple[int, ...], np.dtype]], mesh: Mesh
) -> dict[str, jax.ShapeDtypeStruct]:
  """A batch of these shapes and dtypes, split over the mesh."""
  return {
    name: jax.ShapeDtypeStruct(shape, dtype, sharding=batched(mesh))
    for name, (shape, dtype) in shapes.items()
  }


def compiler_options(
  mesh: Mesh, once: bool = False
) -> dict[str, str | int] | None:
  """What to tell XLA when it compiles for the devices of a mesh.

  On CPU it gives 2D convolutions to YNNPACK by default, which uses one thread;
  Eigen uses all (1.6 times the speed on two cores). And it optimises the random
  numbers of initial weights for many seconds, to save one. An XLA that does not
  know such an option compiles without it, to the same results.

  Args:
    mesh: To compile for.
    once: Whether the program is to run only once.
  """
  if mesh.devices.flat[0].platform != "cpu":
    return None
  name, value = (
    ("xla_backend_optimization_level", 0)
    if once
    else ("xla_cpu_experimental_ynn_fusion_type", "")
  )
  return {name: value} if _cpu_compiler_takes(name, value) else None


@functools.cache
def _cpu_compiler_takes(name: str, value: str | int) -> bool:
  """Whether XLA for CPU knows an option, tried on an empty program."""
  with jax.default_device(jax.local_devices(backend="cpu")[0]):
    empty = jax.jit(lambda: (), compiler_options={name: value}).lower()
    try:
      empty.compile()
    except jax.errors.JaxRuntimeError as error:
      if "No such compile option" not in str(error):
        raise
      return False
  return True


def jit(function: Callable, mesh: Mesh, *, donate: bool = False) -> Callable:
  """Compiles a function of a state and a batch for the devices of a mesh.

  It is written for the global batch. The batch is sharded over the mesh, state
  and results are replicated; the compiler inserts what has to be gathered, such
  as the keys, and the all-reduce of the gradients.

  Args:
    function: Traceable.
    mesh: To compile for.
    donate: Whether the state's memory is reused.
  """
  everywhere = replicated(mesh)
  return jax.jit(
    function,
    in_shardings=(everywhere, batched(mesh)),
    out_shardings=everywhere,
    donate_argnums=0 if donate else (),
    compiler_options=compiler_options(mesh),
  )


def run_once(function: Callable[[], Any], mesh: Mesh) -> Any:
  """What a traceable function makes, initial weights say, replicated."""
  return jax.jit(
    function,
    out_shardings=replicated(mesh),
    compiler_options=compiler_options(mesh, once=True),
  )()


def check_batch_size(field: str, batch_size: int, devices: int) -> None:
  """Checks that a global batch splits evenly over the devices.

  Raises:
    ConfigError: If not, naming the nearest sizes that do.
  """
  if batch_size < 1 or batch_size % devices:
    lower = batch_size // devices * devices
    near = " or ".join(str(n) for n in (lower, lower + devices) if n > 0)
    raise ConfigError(
      f"{field}={batch_size} does not split over {devices} devices: use {near}"
    )


def to_devices(mesh: Mesh, local: dict[str, np.ndarray]) -> Any:
  """Global arrays, batch-sharded, of what each process has of the batch."""
  sharding = batched(mesh)
  return jax.tree.map(
    lambda x: jax.make_array_from_process_local_data(sharding, x), local
  )


def spread(mesh: Mesh, whole: dict[str, np.ndarray]) -> Any:
  """Global arrays, batch-sharded, of what every process has whole."""
  sharding = batched(mesh)
  return jax.tree.map(
    lambda x: jax.make_array_from_callback(x.shape, sharding, x.__getitem__),
    whole,
  )


def gather(arrays: Any) -> Any:
  """The whole of global arrays, as NumPy arrays on every process."""
  return multihost_utils.process_allgather(arrays, tiled=True)
