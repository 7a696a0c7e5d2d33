"""TPU slices: their shapes, their speed, and their names on Google Cloud.

Several slices of one shape can be joined over the network of the data center:
4*v5e:16x16 are four (Google calls them Multislice).

The numbers are those of the pages on each generation at
https://cloud.google.com/tpu/docs. Where slices of one number of chips exist in
several shapes, the one that the accelerator type of this number stands for is
listed. Two kinds of numbers are not on those pages:

- The memory that a program may use: the limit that the TPU compiler (libtpu
  0.0.42) names when a program needs more. The compiler reserves the rest.
- The clock rates. v4 has 1.05 GHz (Table 4 of https://arxiv.org/abs/2304.01433)
  and v5e 1.5 GHz (https://jax-ml.github.io/scaling-book/tpus). On both, the
  peak is the clock rate times 131,072 FLOPs per core and cycle (4 units of
  128×128). The peaks of v5p (2 such cores) and of v6e (one core of 4 times as
  many FLOPs) give 459e12 / 262,144 = 918e12 / 524,288 = 1.75 GHz.
"""

import dataclasses
import math
import re

from hdc_jax.errors import ConfigError


@dataclasses.dataclass(frozen=True)
class Generation:
  """A generation of TPUs.

  Attributes:
    topologies: The shapes of its slices, in chips, such as '2x4'.
    accelerator_type: The accelerator type of its slices without the size, such
      as 'v5litepod' for 'v5litepod-8'.
    cores_per_chip: Number of cores of a chip. To a program they are one device,
      but the size in an accelerator type counts cores.
    hbm_bytes: Memory of a chip that a program may use, in bytes.
    clock_hz: Clock rate of a core, in Hz.
    peak_flops: Peak speed of a chip in bfloat16, in FLOPs per second; a
      multiply-add counts as two.
    link_bytes_per_second: Rate at which a chip can send to the other chips of
      its slice over all its links together, in bytes per second.
    network_bytes_per_second: Rate at which a chip can send to other slices, its
      share of the network of the data center, in bytes per second; None if it
      is not published.
    gke_accelerator: Value of the node label that GKE selects its nodes by.
    runtime_version: Image of its hosts.
    single_host: The topologies that have one host.
    chips_per_host: Number of chips of each host, on a slice of several hosts.
  """

  topologies: tuple[str, ...]
  accelerator_type: str
  cores_per_chip: int
  hbm_bytes: int
  clock_hz: float
  peak_flops: float
  link_bytes_per_second: float
  network_bytes_per_second: float | None
  gke_accelerator: str
  runtime_version: str
  single_host: tuple[str, ...]
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
    cores_per_chip=2,
    hbm_bytes=int(30.75 * _GIB),
    clock_hz=1.05e9,
    peak_flops=275e12,
    link_bytes_per_second=300e9,
    network_bytes_per_second=None,
    gke_accelerator="tpu-v4-podslice",
    runtime_version="tpu-ubuntu2204-base",
    single_host=("2x2x1",),
  ),
  "v5e": Generation(
    topologies=_FLAT,
    accelerator_type="v5litepod",
    cores_per_chip=1,
    hbm_bytes=int(15.75 * _GIB),
    clock_hz=1.5e9,
    peak_flops=197e12,
    link_bytes_per_second=200e9,
    network_bytes_per_second=3.125e9,
    gke_accelerator="tpu-v5-lite-podslice",
    runtime_version="v2-alpha-tpuv5-lite",
    single_host=("1x1", "2x2", "2x4"),
  ),
  "v5p": Generation(
    topologies=(*_CUBES, "16x16x16", "16x16x24"),
    accelerator_type="v5p",
    cores_per_chip=2,
    hbm_bytes=int(95.74 * _GIB),
    clock_hz=1.75e9,
    peak_flops=459e12,
    link_bytes_per_second=600e9,
    network_bytes_per_second=6.25e9,
    gke_accelerator="tpu-v5p-slice",
    runtime_version="v2-alpha-tpuv5",
    single_host=("2x2x1",),
  ),
  "v6e": Generation(
    topologies=_FLAT,
    accelerator_type="v6e",
    cores_per_chip=1,
    hbm_bytes=int(31.25 * _GIB),
    clock_hz=1.75e9,
    peak_flops=918e12,
    link_bytes_per_second=400e9,
    network_bytes_per_second=12.5e9,
    gke_accelerator="tpu-v6e-slice",
    runtime_version="v2-alpha-tpuv6e",
    single_host=("1x1", "2x2", "2x4"),
  ),
}


@dataclasses.dataclass(frozen=True)
class Slice:
  """A slice of TPU chips, such as v5e:16x16, or several: 4*v5e:16x16.

  Attributes:
    generation: The generation of its chips.
    topology: Its shape in chips, one of `generation.topologies`.
    count: Number of slices of this shape that are joined over the network.
  """

  generation: Generation
  topology: str
  count: int = 1

  @classmethod
  def parse(cls, text: str, flag: str = "--slice") -> "Slice":
    """Reads a slice written as GENERATION:TOPOLOGY, or N*GENERATION:TOPOLOGY.

    Args:
      text: The slice, such as 'v5e:16x16'.
      flag: The flag that it was given by, for messages.

    Returns:
      The slice, or the joined slices.

    Raises:
      ConfigError: If there is no such generation or topology, or the number of
        slices is none.

    Example:
      >>> v5e = Slice.parse("v5e:4x4")
      >>> v5e.chips, v5e.hosts, v5e.accelerator_type
      (16, 4, 'v5litepod-16')
      >>> joined = Slice.parse("2*v5e:4x4")
      >>> joined.chips, joined.hosts, joined.accelerator_type
      (32, 8, 'v5litepod-16')
    """
    joined, star, one = text.rpartition("*")
    if star and not re.fullmatch(r"[1-9]\d*", joined):
      raise ConfigError(
        f"{flag}={text}: {joined!r} is no number of slices; write four slices "
        "as 4*v5e:16x16"
      )
    name, _, topology = one.partition(":")
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
    return cls(generation, topology, int(joined or 1))

  @property
  def chips(self) -> int:
    """Number of chips, of all slices."""
    return self.count * self.chips_per_slice

  @property
  def chips_per_slice(self) -> int:
    """Number of chips of each slice."""
    return math.prod(int(side) for side in self.topology.split("x"))

  @property
  def chips_per_host(self) -> int:
    """Number of chips of each host."""
    if self.topology in self.generation.single_host:
      return self.chips_per_slice
    return self.generation.chips_per_host

  @property
  def hosts(self) -> int:
    """Number of hosts, of all slices; see `hosts_per_slice`."""
    return self.count * self.hosts_per_slice

  @property
  def hosts_per_slice(self) -> int:
    """Number of hosts of each slice.

    Raises:
      ConfigError: If the chips do not divide into whole hosts.
    """
    hosts, rest = divmod(self.chips_per_slice, self.chips_per_host)
    if rest:
      raise ConfigError(
        f"{self.topology}: hosts of {self.chips_per_host} chips cannot make up "
        f"a slice of {self.chips_per_slice}"
      )
    return hosts

  @property
  def accelerator_type(self) -> str:
    """Name of each slice in a request for queued resources."""
    size = self.chips_per_slice * self.generation.cores_per_chip
    return f"{self.generation.accelerator_type}-{size}"

  @property
  def gke_selectors(self) -> dict[str, str]:
    """Labels that select the nodes of each slice on GKE."""
    return {
      "cloud.google.com/gke-tpu-accelerator": self.generation.gke_accelerator,
      "cloud.google.com/gke-tpu-topology": self.topology,
    }
