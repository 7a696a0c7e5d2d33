"""How arrays are laid out: one mesh axis, 'data', over all devices.

Global arrays are sharded along their leading axis (batches, embeddings) or
replicated (params, optimizer state). Only a queue of keys is sharded otherwise,
see `train.step.shardings`.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from hdc_jax.errors import ConfigError


def make_mesh(devices: int | Sequence[jax.Device] | None = None) -> Mesh:
  """Makes a mesh along 'data' in which each process's devices are neighbours.

  Each process thus holds a contiguous part of every global batch, which is what
  the loader gives it, and the order of examples in the batch does not depend on
  the number of processes. (`jax.make_mesh` orders devices by the links of a TPU
  instead; collectives among all devices do not gain from that.)

  Args:
    devices: The devices, or how many of `jax.devices()` to take; by default all
      devices of all processes.

  Returns:
    A mesh of one axis, 'data'.
  """
  if devices is None or isinstance(devices, int):
    devices = jax.devices()[:devices]
  ordered = sorted(
    devices, key=lambda device: (device.process_index, device.id)
  )
  return Mesh(np.array(ordered), ("data",), axis_types=(AxisType.Auto,))


def replicated(mesh: Mesh) -> NamedSharding:
  """Returns the sharding of params and optimizer state: a copy per device.

  Args:
    mesh: The devices to copy to.
  """
  return NamedSharding(mesh, PartitionSpec())


def batched(mesh: Mesh) -> NamedSharding:
  """Returns the sharding of batches: the leading axis split over devices.

  Args:
    mesh: The devices to split over.
  """
  return NamedSharding(mesh, PartitionSpec("data"))


def abstract_replicated(tree: Any, mesh: Mesh) -> Any:
  """Describes the arrays of a pytree, replicated, without making them.

  Args:
    tree: Leaves with a shape and a dtype, such as from `jax.eval_shape`.
    mesh: The devices to replicate over.

  Returns:
    A `jax.ShapeDtypeStruct` for each leaf.
  """
  return jax.tree.map(
    lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=replicated(mesh)),
    tree,
  )


def abstract_batch(
  shapes: Mapping[str, tuple[tuple[int, ...], np.dtype]], mesh: Mesh
) -> dict[str, jax.ShapeDtypeStruct]:
  """Describes a global batch, sharded, without making it.

  Args:
    shapes: Shape and dtype of each array, the global batch axis first.
    mesh: The devices to split the batch over.

  Returns:
    A `jax.ShapeDtypeStruct` for each array, by name.
  """
  return {
    name: jax.ShapeDtypeStruct(shape, dtype, sharding=batched(mesh))
    for name, (shape, dtype) in shapes.items()
  }


def compiler_options(
  mesh: Mesh, once: bool = False
) -> dict[str, str | int] | None:
  """Chooses the options of XLA for the devices of a mesh.

  Choice: On CPU, XLA by default gives 2D convolutions to YNNPACK, which uses
  one thread; Eigen uses all (1.6 times the speed on two cores). A program that
  runs once is not optimised: for the random numbers of initial weights that
  takes many seconds and saves one. An XLA that does not know such an option
  compiles without it, to the same results.

  Args:
    mesh: The devices to compile for.
    once: Whether the program runs only once.

  Returns:
    Options for `jax.jit`; None for the defaults, except on CPU.
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


def jit(
  function: Callable,
  mesh: Mesh,
  *,
  state: Any = None,
  results: Any = None,
  donate: bool = False,
) -> jax.stages.Wrapped:
  """Compiles a function of a state and a batch for the devices of a mesh.

  The function is written for the global batch. The batch is sharded over the
  mesh; state and results are replicated, unless their shardings are given. The
  compiler inserts the collectives: the all-gather of embeddings that serve as
  keys, the all-reduce of gradients. While the function is traced, the mesh is
  JAX's abstract mesh, which says how many devices share a batch.

  Args:
    function: A traceable function of `(state, batch)`.
    mesh: The devices to compile for.
    state: Shardings of a state that is not replicated as a whole.
    results: Shardings of results that are not.
    donate: Whether the results may reuse the memory of the state.

  Returns:
    The compiled function.
  """
  on_all_devices = replicated(mesh)

  @functools.wraps(function)
  def on_mesh(*arguments: Any) -> Any:
    with jax.sharding.use_abstract_mesh(mesh.abstract_mesh):
      return function(*arguments)

  return jax.jit(
    on_mesh,
    in_shardings=(state or on_all_devices, batched(mesh)),
    out_shardings=results or on_all_devices,
    donate_argnums=0 if donate else (),
    compiler_options=compiler_options(mesh),
  )


def run_once(
  function: Callable[[], Any], mesh: Mesh, shardings: Any = None
) -> Any:
  """Compiles and calls a function without arguments.

  Args:
    function: A traceable function, such as one that draws initial weights.
    mesh: The devices to run it on.
    shardings: Shardings of the results; by default they are replicated.

  Returns:
    The results, on all devices.
  """
  return jax.jit(
    function,
    out_shardings=shardings or replicated(mesh),
    compiler_options=compiler_options(mesh, once=True),
  )()


def check_batch_size(field: str, batch_size: int, devices: int) -> None:
  """Checks that a global batch splits evenly over the devices.

  Args:
    field: Name of the config field, for the message.
    batch_size: Number of examples of the global batch.
    devices: Number of devices to split the batch over.

  Raises:
    ConfigError: If it does not split evenly; names the nearest sizes that do.

  Example:
    >>> check_batch_size("data.batch_size", 16, devices=8)
    >>> check_batch_size("data.batch_size", 12, devices=8)
    Traceback (most recent call last):
      ...
    hdc_jax.errors.ConfigError: data.batch_size=12 does not split over 8 \
devices: use 8 or 16
  """
  if batch_size < 1 or batch_size % devices:
    lower = batch_size // devices * devices
    nearest = " or ".join(str(n) for n in (lower, lower + devices) if n > 0)
    raise ConfigError(
      f"{field}={batch_size} does not split over {devices} devices: use "
      f"{nearest}"
    )


def check_microbatches(microbatches: int, videos: int) -> None:
  """Checks that microbatches split the videos of a device evenly.

  Args:
    microbatches: Number of microbatches.
    videos: Number of videos of a batch that a device has.

  Raises:
    ConfigError: If they do not; names the nearest numbers that do.

  Example:
    >>> check_microbatches(4, videos=8)
    >>> check_microbatches(3, videos=8)
    Traceback (most recent call last):
      ...
    hdc_jax.errors.ConfigError: config.train.microbatches=3 does not divide \
the 8 videos that each device has of a batch: use 2 or 4
  """
  if videos % microbatches:
    divisors = [n for n in range(1, videos + 1) if videos % n == 0]
    lower = max(n for n in divisors if n < microbatches)
    higher = [n for n in divisors if n > microbatches][:1]
    nearest = " or ".join(str(n) for n in (lower, *higher))
    raise ConfigError(
      f"config.train.microbatches={microbatches} does not divide the {videos} "
      f"videos that each device has of a batch: use {nearest}"
    )


def to_devices(mesh: Mesh, local: dict[str, np.ndarray]) -> Any:
  """Makes global arrays of the part of the batch that each process has.

  Args:
    mesh: The devices to split the batch over.
    local: This process's part of each array of the batch, by name:
      `[B / processes, …]`.

  Returns:
    The global arrays `[B, …]`, sharded over the devices.
  """
  sharding = batched(mesh)
  return jax.tree.map(
    lambda x: jax.make_array_from_process_local_data(sharding, x), local
  )


def whole_to_devices(mesh: Mesh, whole: Any) -> Any:
  """Makes global arrays of a batch that every process has as a whole.

  Args:
    mesh: The devices to split the batch over.
    whole: A pytree of NumPy arrays `[B, …]`, the same on every process.

  Returns:
    The same pytree of global arrays `[B, …]`, sharded over the devices.
  """
  sharding = batched(mesh)
  return jax.tree.map(
    lambda x: jax.make_array_from_callback(x.shape, sharding, x.__getitem__),
    whole,
  )


def gather(arrays: Any) -> Any:
  """Copies global arrays to every process.

  Args:
    arrays: A pytree of global arrays.

  Returns:
    The same pytree of whole NumPy arrays, on every process.
  """
  return multihost_utils.process_allgather(arrays, tiled=True)
