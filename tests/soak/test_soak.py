"""A long run: memory, handles and threads stay what they were.

`make test` takes few steps, which say nothing but that the test works; `make
test-slow` takes 5,000.
"""

import gc
import json
import os
import pathlib

import jax
import numpy as np
import pytest

from hdc_jax.checkpoints import saving
from hdc_jax.tasks import pretrain
from tests import small

STEPS = int(os.environ.get("HDC_JAX_SOAK_STEPS", "60"))
SAVES = 50  # of which the first fifth is the warm-up
PROC = pathlib.Path("/proc/self")


def sample():
  """What the process holds: of memory, that which no file backs, in MiB."""
  gc.collect()
  status = dict(
    line.split(":", 1) for line in (PROC / "status").read_text().splitlines()
  )
  return {
    "memory": int(status["RssAnon"].split()[0]) / 1024,
    "handles": len(list((PROC / "fd").iterdir())),
    "threads": int(status["Threads"]),
    "arrays": len(jax.live_arrays()),
  }


def medians(samples):
  """What was held after the warm-up, and at the end, by name."""
  part = len(samples) // 5
  columns = {k: np.array([s[k] for s in samples]) for k in samples[0]}
  return {
    name: [float(np.median(x[part : 2 * part])), float(np.median(x[-part:]))]
    for name, x in columns.items()
  }


def grown(samples):
  """The names of what grows: pools of threads may still fill up by two."""
  found = medians(samples)
  before, after = found.pop("memory")
  names = ["memory"] * (after > 1.02 * before)
  return names + [name for name, (x, y) in found.items() if y > x + 2]


@pytest.mark.parametrize("name", ["memory", "handles", "threads", "arrays"])
def test_a_leak_is_found(name):
  """Of one with each save, or of 5 kB of memory with each step."""
  flat = {"memory": 450.0, "handles": 12, "threads": 106, "arrays": 94}
  leak = 5_000 / 2**20 * 100 if name == "memory" else 1
  samples = [flat | {name: flat[name] + leak * i} for i in range(SAVES)]
  assert grown(samples) == [name]
  assert grown([flat | {"threads": 106 + (i > 20)} for i in range(50)]) == []


@pytest.mark.slow
@pytest.mark.skipif(not PROC.is_dir(), reason="there is no /proc")
def test_nothing_grows(prepared, quick, tmp_path, monkeypatch):
  samples = []
  save = saving.Checkpoints.save

  def sample_and_save(*arguments):
    samples.append(sample())
    return save(*arguments)

  monkeypatch.setattr(saving.Checkpoints, "save", sample_and_save)
  config = small.tiny(
    data__path=prepared,
    data__batch_size=4,
    data__canvas=32,
    model__size=16,
    train__steps=STEPS,
    train__log_every=10,
    train__checkpoint_every=max(10, STEPS // SAVES),
  )
  pretrain.run(config, str(tmp_path))
  print(json.dumps({"steps": STEPS, "saves": len(samples)} | medians(samples)))
  if STEPS >= 1000:
    assert not grown(samples), samples
