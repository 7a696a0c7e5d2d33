"""TPU slices: what there is, and what Google Cloud calls it.

From the pages on each generation at https://cloud.google.com/tpu/docs. Where a
number of chips comes in several shapes, the one that its accelerator type means
is listed.
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
    per_chip: What the size of an accelerator type counts, per chip: v4 and v5p
      count cores, of which a chip has two.
    gke_accelerator: What GKE labels its nodes.
    runtime_version: The image of its hosts.
    chips_per_host: On a slice of several hosts.
    one_host: Shapes that a single host holds.
  """

  topologies: tuple[str, ...]
  accelerator_type: str
  per_chip: int
  gke_accelerator: str
  runtime_version: str
  one_host: tuple[str, ...]
  chips_per_host: int = 4


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
    per_chip=2,
    gke_accelerator="tpu-v4-podslice",
    runtime_version="tpu-ubuntu2204-base",
    one_host=("2x2x1",),
  ),
  "v5e": Generation(
    topologies=_FLAT,
    accelerator_type="v5litepod",
    per_chip=1,
    gke_accelerator="tpu-v5-lite-podslice",
    runtime_version="v2-alpha-tpuv5-lite",
    one_host=("1x1", "2x2", "2x4"),
  ),
  "v5p": Generation(
    topologies=(*_CUBES, "16x16x16", "16x16x24"),
    accelerator_type="v5p",
    per_chip=2,
    gke_accelerator="tpu-v5p-slice",
    runtime_version="v2-alpha-tpuv5",
    one_host=("2x2x1",),
  ),
  "v6e": Generation(
    topologies=_FLAT,
    accelerator_type="v6e",
    per_chip=1,
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
  def parse(cls, text: str) -> "Slice":
    """The slice that `GENERATION:TOPOLOGY` names.

    Raises:
      ConfigError: If there is none.
    """
    name, _, topology = text.partition(":")
    if name not in GENERATIONS:
      raise ConfigError(
        f"--slice={text}: {name!r} is not one of {', '.join(GENERATIONS)}; "
        "write it as v5e:16x16"
      )
    generation = GENERATIONS[name]
    if topology not in generation.topologies:
      raise ConfigError(
        f"--slice={text}: {name} comes as {', '.join(generation.topologies)}"
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
    size = self.chips * self.generation.per_chip
    return f"{self.generation.accelerator_type}-{size}"

  @property
  def gke_selectors(self) -> dict[str, str]:
    """The labels of its nodes on GKE."""
    return {
      "cloud.google.com/gke-tpu-accelerator": self.generation.gke_accelerator,
      "cloud.google.com/gke-tpu-topology": self.topology,
    }
