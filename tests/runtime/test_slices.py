"""Topologies are consistent, and what is not one is said clearly."""

import dataclasses

import pytest

from hdc_jax.errors import ConfigError
from hdc_jax.runtime.slices import GENERATIONS, Slice

ALL = [f"{name}:{t}" for name, g in GENERATIONS.items() for t in g.topologies]

# From the tables in Google's pages: chips, hosts, accelerator type.
KNOWN = {
  "v4:2x2x1": (4, 1, "v4-8"),
  "v4:4x4x4": (64, 16, "v4-128"),
  "v5e:1x1": (1, 1, "v5litepod-1"),
  "v5e:2x4": (8, 1, "v5litepod-8"),
  "v5e:4x4": (16, 4, "v5litepod-16"),
  "v5e:16x16": (256, 64, "v5litepod-256"),
  "v5p:2x2x2": (8, 2, "v5p-16"),
  "v5p:8x8x16": (1024, 256, "v5p-2048"),
  "v6e:2x2": (4, 1, "v6e-4"),
  "v6e:16x16": (256, 64, "v6e-256"),
  "4*v5e:16x16": (1024, 256, "v5litepod-256"),
  "3*v5p:2x2x1": (12, 3, "v5p-8"),
}


@pytest.mark.parametrize("text", KNOWN)
def test_known_slices(text):
  found = Slice.parse(text)
  assert (found.chips, found.hosts, found.accelerator_type) == KNOWN[text]


@pytest.mark.parametrize("text", ALL)
def test_hosts_make_up_the_slice(text):
  found = Slice.parse(text)
  assert found.hosts * found.chips_per_host == found.chips


def test_an_accelerator_type_means_one_slice():
  types = [Slice.parse(text).accelerator_type for text in ALL]
  assert len(set(types)) == len(types)


# From the same pages: bf16 peak, memory in GiB, and FLOPs per cycle and core.
CHIPS = {
  "v4": (275e12, 32, 131_072),
  "v5e": (197e12, 16, 131_072),
  "v5p": (459e12, 96, 131_072),
  "v6e": (918e12, 32, 524_288),
}


@pytest.mark.parametrize("name", GENERATIONS)
def test_chips_can_do_what_their_pages_say(name):
  chip, (peak, gib, per_cycle) = GENERATIONS[name], CHIPS[name]
  assert chip.peak_flops == peak
  assert 0.95 * gib <= chip.hbm_bytes / 2**30 < gib
  cycles = chip.clock_hz * chip.cores_per_chip
  assert cycles * per_cycle == pytest.approx(peak, rel=3e-3)


def test_gke_labels():
  assert Slice.parse("v5e:16x16").gke_selectors == {
    "cloud.google.com/gke-tpu-accelerator": "tpu-v5-lite-podslice",
    "cloud.google.com/gke-tpu-topology": "16x16",
  }


def test_hosts_that_cannot_make_up_the_slice():
  odd = dataclasses.replace(GENERATIONS["v5e"], chips_per_host=3)
  with pytest.raises(ConfigError, match="16x16: hosts of 3 chips"):
    _ = Slice(odd, "16x16").hosts


@pytest.mark.parametrize(
  ("text", "message"),
  [
    ("v3:4x4", "'v3' is not one of v4, v5e, v5p, v6e"),
    ("16x16", "write it as v5e:16x16"),
    ("v5e", "v5e comes as 1x1, 2x2, 2x4, 4x4, 4x8, 8x8, 8x16, 16x16"),
    ("v5e:4x4x4", "v5e comes as 1x1"),
    ("v4:4x4", "v4 comes as 2x2x1"),
    ("v5e:32x32", "v5e comes as 1x1"),
    ("0*v5e:4x4", "'0' is no number of slices"),
    ("*v5e:4x4", "'' is no number of slices"),
    ("2*2*v5e:4x4", r"'2\*2' is no number of slices"),
    ("2x4*v5e:4x4", "'2x4' is no number of slices"),
  ],
)
def test_what_is_not_a_slice(text, message):
  with pytest.raises(ConfigError, match=message):
    Slice.parse(text)
