"""TPU slices: what there is, what it can do, and what Google Cloud calls it.

From the pages on each generation at https://cloud.google.com/tpu/docs. Where a
number of chips comes in several shapes, the one that its accelerator type means
is listed. What those pages do not tell:

- How much of a chip's memory a program may use is what the TPU compiler
  (libtpu 0.0.42) names when one needs more. The rest is its own.
- The clocks: of v4, 1.05 GHz, Table 4 of https://arxiv.org/abs/2304.01433; of
  v5e, 1.5 GHz, https://jax-ml.github.io/scaling-book/tpus. Those of v5p and v6e
  follow from the peak, which at v4 and v5e is the clock times 131,072 FLOPs
  for each core (4 units of 128×128): 459e12 / 262,144 and, of four times as
  many a core, 918e12 / 524,288 are both 1.75 GHz.
"""

import dataclasses
import math

from hdc_jax.errors import ConfigError


@dataclasses.dataclass(frozen=True)
class Generation:
  """A generation of TPUs.

  Attributes:
    topologies: The shapes of its slices, in chips.
    accelerator_type: What queued resources call a slice, before its size.
    cores: Of a chip. To a program they are one device, but the size of an
      accelerator type counts them.
    hbm_bytes: What a program may use of a chip's memory.
    clock_hz: Of a core.
    peak_flops: Of a chip per second, in bfloat16; a multiplication and an
      addition are two.
    link_bytes_per_second: What a chip can send to others of its slice, over all
      its links.
    gke_accelerator: What GKE labels its nodes.
    runtime_version: The image of its hosts.
    chips_per_host: On a slice of several hosts.
    one_host: Shapes that a single host holds.
  """

  topologies: tuple[str, ...]
  accelerator_type: str
  cores: int
  hbm_bytes: int
  clock_hz: float
  peak_flops: float
  link_bytes_per_second: float
  gke_accelerator: str
  runtime_version: str
  one_host: tuple[str, ...]
  chips_per_host: int = 4


_GIB = 1 << 30

_FLAT = ("1x1", "2x2", "2x4", "4x4", "4x8", "8x8", "8x16", "16x16")
_CUBES = (
  "2x2x1",
  "2x2x2",
  "2x2x4",
  "2x4x4",
  "4x4x4",
  "4x4x8",
  "4x8x8",
  "8x8x8",
  "8x8x16",
  "8x16x16",
)

GENERATIONS = {
  "v4": Generation(
    topologies=_CUBES,
    accelerator_type="v4",
    cores=2,
    hbm_bytes=int(30.75 * _GIB),
    clock_hz=1.05e9,
    peak_flops=275e12,
    link_bytes_per_second=300e9,
    gke_accelerator="tpu-v4-podslice",
    runtime_version="tpu-ubuntu2204-base",
    one_host=("2x2x1",),
  ),
  "v5e": Generation(
    topologies=_FLAT,
    accelerator_type="v5litepod",
    cores=1,
    hbm_bytes=int(15.75 * _GIB),
    clock_hz=1.5e9,
    peak_flops=197e12,
    link_bytes_per_second=200e9,
    gke_accelerator="tpu-v5-lite-podslice",
    runtime_version="v2-alpha-tpuv5-lite",
    one_host=("1x1", "2x2", "2x4"),
  ),
  "v5p": Generation(
    topologies=(*_CUBES, "16x16x16", "16x16x24"),
    accelerator_type="v5p",
    cores=2,
    hbm_bytes=int(95.74 * _GIB),
    clock_hz=1.75e9,
    peak_flops=459e12,
    link_bytes_per_second=600e9,
    gke_accelerator="tpu-v5p-slice",
    runtime_version="v2-alpha-tpuv5",
    one_host=("2x2x1",),
  ),
  "v6e": Generation(
    topologies=_FLAT,
    accelerator_type="v6e",
    cores=1,
    hbm_bytes=int(31.25 * _GIB),
    clock_hz=1.75e9,
    peak_flops=918e12,
    link_bytes_per_second=400e9,
    gke_accelerator="tpu-v6e-slice",
    runtime_version="v2-alpha-tpuv6e",
    one_host=("1x1", "2x2", "2x4"),
  ),
}


@dataclasses.dataclass(frozen=True)
class Slice:
  """A slice of a generation, such as v5e:16x16."""

  generation: Generation
  topology: str

  @classmethod
  def parse(cls, text: str, flag: str = "--slice") -> "Slice":
    """The slice that `GENERATION:TOPOLOGY` names.

    Args:
      text: Such as v5e:16x16.
      flag: That it was given by, for messages.

    Raises:
      ConfigError: If there is none.
    """
    name, _, topology = text.partition(":")
    if name not in GENERATIONS:
      raise ConfigError(
        f"{flag}={text}: {name!r} is not one of {', '.join(GENERATIONS)}; "
        "write it as v5e:16x16"
      )
    generation = GENERATIONS[name]
    if topology not in generation.topologies:
      raise ConfigError(
        f"{flag}={text}: {name} comes as {', '.join(generation.topologies)}"
      )
    return cls(generation, topology)

  @property
  def chips(self) -> int:
    """How many chips it has."""
    return math.prod(int(side) for side in self.topology.split("x"))

  @property
  def chips_per_host(self) -> int:
    """How many of them each host has."""
    if self.topology in self.generation.one_host:
      return self.chips
    return self.generation.chips_per_host

  @property
  def hosts(self) -> int:
    """How many hosts it has."""
    hosts, rest = divmod(self.chips, self.chips_per_host)
    if rest:
      raise ConfigError(
        f"{self.topology}: hosts of {self.chips_per_host} chips cannot make up "
        f"{self.chips}"
      )
    return hosts

  @property
  def accelerator_type(self) -> str:
    """What queued resources call it."""
    size = self.chips * self.generation.cores
    return f"{self.generation.accelerator_type}-{size}"

  @property
  def gke_selectors(self) -> dict[str, str]:
    """The labels of its nodes on GKE."""
    return {
      "cloud.google.com/gke-tpu-accelerator": self.generation.gke_accelerator,
      "cloud.google.com/gke-tpu-topology": self.topology,
    }
