"""Compiles a train step for a TPU slice, on a machine without TPUs.

The compiler is that of libtpu, from PyPI. It needs only a description of the
slice's devices. Nothing is run.
"""

import contextlib
import dataclasses
import gzip
import hashlib
import importlib.metadata
import importlib.util
import json
import logging
import math
import os
import re
import time
from collections.abc import Iterator, Sequence
from typing import Any

import jax
from etils import epath
from jax.experimental import topologies

from hdc_jax.data.clips import training_clips
from hdc_jax.distributed import mesh as mesh_lib
from hdc_jax.errors import ConfigError
from hdc_jax.plan import hlo, module_costs
from hdc_jax.runtime import files
from hdc_jax.runtime.slices import Slice
from hdc_jax.tasks.pretrain import Learning

_log = logging.getLogger(__name__)

_VERSIONED = ("jax", "jaxlib", "libtpu")

# Without these, libtpu would query the metadata of a TPU machine, or wait for
# another process that uses a TPU.
_ENVIRONMENT = {
  "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
  "TPU_ACCELERATOR_TYPE": "v5litepod-4",
  "TPU_LOG_DIR": "disabled",
  "TPU_SKIP_MDS_QUERY": "1",
  "TPU_WORKER_HOSTNAMES": "localhost",
  "TPU_WORKER_ID": "0",
}


def use_cpu() -> None:
  """Makes JAX use the CPU; must be called before JAX uses any device.

  Raises:
    ConfigError: If libtpu is not installed.
  """
  if not importlib.util.find_spec("libtpu"):
    raise ConfigError(
      "the compiler for TPU is not installed: pip install 'jax[tpu]'"
    )
  os.environ.update(_ENVIRONMENT)
  jax.config.update("jax_platforms", "cpu")


def versions() -> dict[str, str]:
  """The versions of the packages on which the compiler's estimates depend."""
  return {name: importlib.metadata.version(name) for name in _VERSIONED}


def devices(name: str) -> Sequence[Any]:
  """The devices of slices to compile for: one for each chip, in order.

  Args:
    name: Name of the slice, such as 'v5e:16x16'; or of several that are joined.
  """
  where = Slice.parse(name)
  options: dict[str, Any] = {}
  if where.generation.cores_per_chip > 1:
    options["chip_config_name"] = "megacore"
  if where.hosts_per_slice == 1:
    sides = [int(side) for side in where.topology.split("x")]
    options["chips_per_host_bounds"] = (*sides, 1)[:3]
  if where.count > 1:
    options["num_slices"] = where.count
  description = topologies.get_topology_desc(
    platform="tpu", topology_name=name.rpartition("*")[-1], **options
  )
  chips = description.devices
  assert len(chips) == where.chips, f"{name}: {len(chips)} devices"
  return chips


class Step:
  """The train step of a config, for one slice."""

  def __init__(
    self, learning: Learning, name: str, short_side: int, batch_size: int
  ) -> None:
    """Traces and lowers the step.

    Args:
      learning: Options of the training, except for its batch size.
      name: Name of the slice.
      short_side: Short side of the source's frames, in pixels.
      batch_size: Videos per step, over all chips.
    """
    chips = devices(name)
    mesh = mesh_lib.make_mesh(chips)
    batches = dataclasses.replace(learning.batches, batch_size=batch_size)
    learning = dataclasses.replace(learning, batches=batches)
    learning.check_devices(len(chips))
    training = learning.make_training(mesh)
    starts = training.objective.starts
    shapes = training_clips.batch_shapes(
      learning.clips, starts, short_side, batch_size
    )
    self.name = name
    self.device = f"{len(chips)} × {chips[0].device_kind}"
    options = mesh_lib.compiler_options(mesh)
    self.options = (options,) if options else ()
    self.lowered = training.train_step.lower(
      training.abstract_state(),
      mesh_lib.abstract_batch(shapes, mesh),
    )

  def facts(self, cache: epath.PathLike) -> dict[str, Any]:
    """Compiles the step, unless it is in the cache, and reads the estimates.

    Args:
      cache: Directory of the estimates and the HLO, by a hash of the program,
        the slice and the compiler's version.

    Returns:
      Values for JSON: 'device', 'compile_seconds' and 'cached'. If the step
      does not fit a chip, 'out_of_memory' with the compiler's message. Else
      'hbm_bytes' of a chip: 'argument', 'output' (without outputs that replace
      arguments), 'temporary', 'code' and their 'total'; 'estimated_cycles' of a
      step; and 'operations', 'uncounted' and 'collectives', see `module_costs`.
    """
    flags = os.environ.get("LIBTPU_INIT_ARGS", "")
    text = self.lowered.as_text()
    key = [self.name, versions(), text, *self.options, *filter(None, [flags])]
    digest = hashlib.sha256(json.dumps(key).encode()).hexdigest()[:32]
    path = epath.Path(cache) / f"{digest}.json"
    cached = files.exists(path)
    if not cached:
      self._compile(path)
    facts = json.loads(files.read(path))
    facts |= {"cached": cached, "device": self.device}
    if "out_of_memory" not in facts:
      facts |= _costs(gzip.decompress(files.read(_hlo_path(path))).decode())
    return facts

  def _compile(self, path: epath.Path) -> None:
    """Compiles the step, and writes its memory and its HLO beside `path`."""
    _log.info("compiling for %s: this takes minutes", self.name)
    start = time.perf_counter()
    try:
      with not_kept_by_jax():
        compiled = self.lowered.compile()
    except jax.errors.JaxRuntimeError as error:
      message = out_of_memory(str(error))
      if not message:
        raise
      facts: dict[str, Any] = {"out_of_memory": message}
    else:
      facts = {"hbm_bytes": _memory(compiled)}
      text = compiled.as_text() or ""
      files.write(_hlo_path(path), gzip.compress(text.encode()))
    facts["compile_seconds"] = round(time.perf_counter() - start, 1)
    files.write_json(path, facts)


@contextlib.contextmanager
def not_kept_by_jax() -> Iterator[None]:
  """Keeps compiled programs out of JAX's cache.

  JAX could not load a cached program for a slice that this machine does not
  have.
  """
  name = "jax_persistent_cache_min_compile_time_secs"
  before = getattr(jax.config, name)
  jax.config.update(name, math.inf)
  try:
    yield
  finally:
    jax.config.update(name, before)


def _hlo_path(path: epath.Path) -> epath.Path:
  """The path of the compressed HLO beside the estimates."""
  return path.with_suffix(".hlo.gz")


def _memory(compiled: Any) -> dict[str, int]:
  """The memory of a chip that a program uses, in bytes by kind."""
  memory = compiled.memory_analysis()
  hbm = {
    "argument": memory.argument_size_in_bytes,
    "output": memory.output_size_in_bytes - memory.alias_size_in_bytes,
    "temporary": memory.temp_size_in_bytes,
    "code": memory.generated_code_size_in_bytes,
  }
  return hbm | {"total": sum(hbm.values())}


def _costs(text: str) -> dict[str, Any]:
  """The estimated costs of a program, from the text of its HLO."""
  executed = list(hlo.parse(text).executed())
  return {
    "estimated_cycles": hlo.total_cycles(executed),
    "operations": module_costs.by_module(executed),
    "uncounted": module_costs.uncounted(executed),
    "collectives": module_costs.exchanges(executed),
  }


def out_of_memory(message: str) -> str:
  """The line of an error which says that the memory of a chip is too small.

  A chip has other, smaller memories: a program that overflows those is a bug.

  Args:
    message: The message of the error.

  Returns:
    The line; '' if the error has another reason.
  """
  # Newer compilers put a code first, such as "E1000: CompileTimeHbmOom: ".
  pattern = r"RESOURCE_EXHAUSTED: (?:E\d+: \w+: )?(.*\bhbm\b.*)"
  match = re.search(pattern, message, re.I)
  return match[1].strip() if match else ""
