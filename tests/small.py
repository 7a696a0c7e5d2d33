"""A run small enough to take its steps in milliseconds."""

import numpy as np

from hdc_jax import config as config_lib

# The same for a command: as small as a config file can be made.
FLAGS = (
  "--config.data.frames=4",
  "--config.data.canvas=32",
  "--config.model.size=16",
  "--config.model.width=2",
  "--config.method.blocks=(5,)",
  "--config.method.weights=(1.0,)",
)

# A run of every other backbone, one of them with batch norm's running means.
BACKBONES = {
  "c3d": {"model__name": "c3d"},
  "r2plus1d10": {"model__name": "r2plus1d10"},
  "r3d50": {"model__name": "r3d50", "model__norm": "batch"},
}


def config(**changes):
  """A config of 8-frame clips at 36×36 and a network of width 4.

  Args:
    **changes: Fields, with '__' for the dot.
  """
  made = config_lib.default()
  made.data.batch_size = 8
  made.data.frames = 8
  made.data.canvas = 40
  made.data.threads = 2
  made.model.width = 4
  made.model.size = 36
  made.model.dtype = "float32"
  made.method.dim = 16
  made.train.steps = 20
  made.train.log_every = 5
  made.train.checkpoint_every = 10
  made.test.clips = 2
  made.test.batch_size = 8
  made.retrieve.topk = (1, 5)
  if changes.get("model__name", "r3d18").startswith("r3d"):
    made.model.stem = (3, 7, 7)
  for field, value in changes.items():
    *sections, leaf = field.split("__")
    section = made
    for name in sections:
      section = section[name]
    section[leaf] = value
  return made


def clips(seed, batch=8, count=2, frames=8, canvas=40):
  """Random clips as the loader gives them."""
  rng = np.random.default_rng(seed)
  shape = (batch, count, frames, canvas, canvas)
  half = (*shape[:3], canvas // 2, canvas // 2, 2)
  return {
    "y": rng.integers(16, 236, shape).astype(np.uint8),
    "uv": rng.integers(16, 241, half).astype(np.uint8),
  }
