"""The plan for one slice, derived from the compiler's estimates."""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from etils import epath

from hdc_jax.data.clips import filling
from hdc_jax.distributed import mesh
from hdc_jax.plan import compiling
from hdc_jax.runtime.slices import Slice
from hdc_jax.tasks import costs
from hdc_jax.tasks.pretrain import Learning
from hdc_jax.train.training import Training

LABEL = (
  "the TPU compiler's estimates; nothing was run on a TPU, and exchanges "
  "between chips are not in the cycles"
)

# Number of the costliest modules that a plan lists.
_SHOWN = 10


@dataclasses.dataclass(frozen=True)
class SlicePlanner:
  """Plans a training on slices.

  Attributes:
    learning: Options of the training; its batch size is not used.
    short_side: Short side of the source's frames, in pixels.
    clips_per_video: Clips that a host cuts out of each video.
    clips_per_second_per_core: Clips that a core of a host cuts per second.
    cache: Directory of the compiler's estimates, see `compiling.Step.facts`.
  """

  learning: Learning
  short_side: int
  clips_per_video: int
  clips_per_second_per_core: float
  cache: epath.PathLike

  def compile_row(self, name: str, per_chip: int) -> dict[str, Any]:
    """Compiles the step for a slice.

    Args:
      name: Name of the slice, such as 'v5e:16x16'.
      per_chip: Videos per chip.

    Returns:
      The slice's row for JSON. If the step does not fit, the row has
      'out_of_memory' instead of times and costs.
    """
    where = Slice.parse(name)
    facts = self._facts(name, per_chip)
    batch_size = per_chip * where.chips
    row = {
      "name": name,
      "device": facts["device"],
      "hosts": where.hosts,
      "batch_size": batch_size,
      "batch_per_chip": per_chip,
      "compile_seconds": facts["compile_seconds"],
      "cached": facts["cached"],
      "fits": "out_of_memory" not in facts,
    }
    if not row["fits"]:
      return row | {"out_of_memory": facts["out_of_memory"]}
    return row | self._speed(batch_size, where, facts)

  def _facts(self, name: str, per_chip: int) -> dict[str, Any]:
    """The compiler's estimates for a slice, see `compiling.Step.facts`."""
    batch_size = per_chip * Slice.parse(name).chips
    step = compiling.Step(self.learning, name, self.short_side, batch_size)
    return step.facts(self.cache)

  def _speed(
    self, batch_size: int, where: Slice, facts: Mapping[str, Any]
  ) -> dict[str, Any]:
    """The times and costs of a step, for the row of a slice.

    Args:
      batch_size: Videos per step, over all chips.
      where: The slice.
      facts: The compiler's estimates.
    """
    chip, training = where.generation, self._training()
    cost = costs.of_training(training, batch_size, steps=1)
    seconds = facts["estimated_cycles"] / chip.clock_hz
    collective_bytes: dict[str, int] = {}
    exchanges = facts["collectives"]
    within = [exchange for exchange in exchanges if not exchange["network"]]
    for exchange in within:
      kind = exchange["kind"]
      collective_bytes[kind] = collective_bytes.get(kind, 0) + exchange["bytes"]
    network = network_bytes(exchanges, where.count)
    rate = chip.network_bytes_per_second
    videos = batch_size / seconds
    clips = cost.clips / seconds
    flops = cost.flops / where.chips
    cut = videos / where.hosts * self.clips_per_video
    cores = math.ceil(cut / self.clips_per_second_per_core)
    return {
      "hbm_bytes": facts["hbm_bytes"] | {"limit": chip.hbm_bytes},
      "estimated_cycles": facts["estimated_cycles"],
      "estimated_step_seconds": seconds,
      "videos_per_second": videos,
      "videos_per_second_per_chip": videos / where.chips,
      "clips_per_second": clips,
      "flops_per_chip": flops,
      "estimated_utilisation": flops / seconds / chip.peak_flops,
      "collective_bytes": collective_bytes,
      "key_bytes": batch_size * _key_bytes(training),
      "collective_seconds": sent_bytes(within) / chip.link_bytes_per_second,
      "network_bytes": network,
      "network_seconds": network / rate if rate else None,
      "cores_per_host": cores,
      "processes_per_host": filling.processes_for(cores),
      "operations": facts["operations"][:_SHOWN],
      "uncounted": facts["uncounted"],
      "collectives": facts["collectives"],
    }

  def _training(self) -> Training:
    """The training on one device, for counting its FLOPs."""
    return self.learning.make_training(mesh.make_mesh(1))

  def find_largest(self, name: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """Searches for the largest number of videos per chip that fits.

    Args:
      name: Name of the slice.
      row: The slice's row for some number of videos per chip.

    Returns:
      'largest_batch_per_chip', which is 0 if no number fits, and
      'too_large_batch_per_chip', which does not fit and is larger by at most a
      sixteenth, or a video of each microbatch.
    """
    parts = self.learning.train.microbatches
    known = {row["batch_per_chip"]: row["fits"]}

    def fits(videos: int) -> bool:
      per_chip = videos * parts
      if per_chip not in known:
        facts = self._facts(name, per_chip)
        known[per_chip] = "out_of_memory" not in facts
      return known[per_chip]

    used = row.get("hbm_bytes", {"total": 1, "limit": 1})
    guess = row["batch_per_chip"] * used["limit"] // used["total"]
    start = row["batch_per_chip"] // parts
    fitting, failing = bisect(fits, start, guess // parts)
    return {
      "largest_batch_per_chip": fitting * parts,
      "too_large_batch_per_chip": failing * parts,
    }


def _key_bytes(training: Training) -> int:
  """Bytes of the keys of one video; each chip has the keys of all videos."""
  network = training.objective.network
  terms = network.method.terms
  wanted = tuple(dict.fromkeys(key for term in terms for key in term.keys))

  def embed(views: jax.Array) -> Any:
    key = jax.random.key(0)
    return network.init_with_output(key, views, wanted=wanted)[0]

  views = jax.ShapeDtypeStruct((1, *training.views_shape), jnp.float32)
  keys = jax.tree.leaves(jax.eval_shape(embed, views))
  return sum(x.size * x.dtype.itemsize for x in keys)


def sent_bytes(collectives: Sequence[Mapping[str, Any]]) -> int:
  """The bytes that a chip sends; an all-reduce is a scatter and a gather.

  Args:
    collectives: Collective operations with their 'bytes' and 'opcode'.
  """
  return sum(
    exchange["bytes"] * (2 if exchange["opcode"] == "all-reduce" else 1)
    for exchange in collectives
  )


def network_bytes(exchanges: Sequence[Mapping[str, Any]], slices: int) -> float:
  """The bytes that a chip sends to other slices.

  It hands its part of the data to the network once. Of a gather, each of the
  other slices gets that part. A sum is at best a scatter and a gather.

  Args:
    exchanges: Exchanges, see `module_costs.exchanges`.
    slices: Number of slices.
  """
  others = slices - 1
  times = {"all-reduce": 2 * others / slices, "reduce-scatter": others / slices}
  return sum(
    exchange["bytes"] * times.get(exchange["kind"], others)
    for exchange in exchanges
    if exchange["network"]
  )


def bisect(
  fits: Callable[[int], bool], start: int, guess: int
) -> tuple[int, int]:
  """Searches for the largest number that fits, up to a sixteenth.

  Args:
    fits: Whether a number fits; a slow function.
    start: The first number to try.
    guess: About the largest number that fits, if `start` does.

  Returns:
    A number that fits (0 if none does), and a larger one that does not.
  """
  fitting, failing = 0, start
  if fits(start):
    fitting, failing = start, max(start + 1, guess)
    while fits(failing):
      fitting, failing = failing, failing + max(1, failing // 4)
  while failing - fitting > max(1, fitting // 16):
    middle = (fitting + failing) // 2
    if fits(middle):
      fitting = middle
    else:
      failing = middle
  return fitting, failing
