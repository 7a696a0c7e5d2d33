"""A run small enough to take its steps in milliseconds."""

import jax
import numpy as np

from hdc_jax import config as config_lib
from hdc_jax.train import checkpoint
from tests import weights

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

# A run of every other method: of whole frames, padded; with a mean encoder.
METHODS = {
  "cvrl": {
    "method__name": "cvrl",
    "method__hidden": (8, 8),
    "model__norm": "batch",
    "optim__schedule": "cosine",
    "data__canvas": 60,
  },
  "dsm": {
    "method__name": "dsm",
    "method__negative": "flow",
    "method__momentum": 0.9,
  },
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


def tiny(**changes):
  """The same with 4-frame clips, and a network of width 2."""
  smallest = {
    "data__frames": 4,
    "method__blocks": (5,),
    "method__weights": (1.0,),
    "model__width": 2,
    "train__steps": 2,
  }
  return config(**smallest | changes)


def save_run(workdir, made, config):
  """Saves weights as of a trained network, as a run of no steps does.

  Args:
    workdir: of the run.
    made: its trainer.
    config: of the same.

  Returns:
    The state.
  """
  shapes = jax.eval_shape(made.init)
  zeros = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), shapes)
  state = zeros.replace(
    params=weights.plausible(shapes.params),
    batch_stats=weights.plausible(shapes.batch_stats),
  )
  with checkpoint.Checkpoints(workdir) as saved:
    saved.save(0, state, {"step": 0}, config)
    saved.wait()
  return state


def clips(seed, batch=8, count=2, frames=8, canvas=40):
  """Random clips as the loader gives them."""
  rng = np.random.default_rng(seed)
  shape = (batch, count, frames, canvas, canvas)
  half = (*shape[:3], canvas // 2, canvas // 2, 2)
  return {
    "y": rng.integers(16, 236, shape).astype(np.uint8),
    "uv": rng.integers(16, 241, half).astype(np.uint8),
  }
