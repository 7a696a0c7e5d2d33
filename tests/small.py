"""A run small enough to take its steps in milliseconds."""

import dataclasses

import jax
import ml_collections
import numpy as np

from hdc_jax import config as config_lib
from hdc_jax import tasks
from hdc_jax.checkpoints import saving
from hdc_jax.options import declaring
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

# Of 8-frame clips at 36×36 and a network of width 4.
_SMALL = {
  "data__batch_size": 8,
  "data__frames": 8,
  "data__canvas": 40,
  "data__threads": 2,
  "model__width": 4,
  "model__size": 36,
  "model__stem": (3, 7, 7),
  "model__dtype": "float32",
  "method__dim": 16,
  "train__steps": 20,
  "train__log_every": 5,
  "train__checkpoint_every": 10,
  "test__clips": 2,
  "test__batch_size": 8,
  "retrieve__topk": (1, 5),
}
# All tasks and methods learn and test in the same way, and not by the recipes
# of their papers.
_ALIKE = {
  "data__stride": 1,
  "data__split": "train",
  "data__folds": (),
  "augment__jitter__brightness": 0.4,
  "augment__jitter__contrast": 0.4,
  "augment__jitter__saturation": 0.4,
  "augment__jitter__hue": 0.1,
  "model__norm": "instance",
  "method__temperature": 0.07,
  "method__momentum": 0.0,
  "method__queue": 0,
  "augment__flip": 0.5,
  "augment__scales": (1.0, 0.875, 0.75, 0.66),
  "augment__rotation": 0.0,
  "augment__jitter__probability": 0.8,
  "augment__replication__probability": 0.5,
  "optim__schedule": "inverse_time",
  "optim__lr": 0.1,
  "optim__decay": 1e-4,
  "optim__warmup": 0,
  "optim__l2": 5e-5,
  "optim__decayed": "kernels",
  "test__crops": "centre",
  "features__pool": "average",
}
# Of 4-frame clips, and a network of width 2.
_TINY = {
  "data__frames": 4,
  "method__blocks": (5,),
  "method__weights": (1.0,),
  "model__width": 2,
  "train__steps": 2,
}

# A run of every other kind of backbone, one with batch norm's running means.
# Those that are not here are of these kinds, with other depths and kernels.
BACKBONES = {
  name: {
    "model__name": name,
    "model__norm": norm,
    "method__blocks": (5,),
    "method__weights": (1.0,),
  }
  for name, norm in (
    ("c3d", "instance"),
    ("r2plus1d10", "instance"),
    ("r3d50", "batch"),
  )
}

# A run of every other method: of whole frames, padded; with a mean encoder.
METHODS = {
  "cvrl": {
    "method": "cvrl",
    "method__hidden": (8, 8),
    "model__norm": "batch",
    "optim__schedule": "cosine",
    "data__canvas": 60,
  },
  "dsm": {
    "method": "dsm",
    "method__negative": "flow",
    "method__momentum": 0.9,
    "method__queue": 16,
  },
}


def config(task="pretrain", method="hdc", **changes):
  """A config of 8-frame clips at 36×36 and a network of width 4.

  Args:
    task: Name of the task.
    method: Name of the method.
    **changes: Values of fields that the task has, with '__' for the dot.

  Raises:
    ConfigError: If the task has no such field.
  """
  return _config(task, method, _SMALL | _ALIKE, changes)


def tiny(task="pretrain", method="hdc", **changes):
  """The same with 4-frame clips, and a network of width 2."""
  return _config(task, method, _SMALL | _ALIKE | _TINY, changes)


def _config(task, method, defaults, changes):
  """A config with defaults as far as it has them, and with changes."""
  dotted = {
    field.replace("__", "."): value
    for field, value in (defaults | changes).items()
  }
  made = config_lib.default(task, method, changes=dotted)
  for field in changes:
    tasks.TASKS[task].schema.check_field(
      tuple(field.split("__")), made.to_dict()
    )
  return made


def resolve(config):
  """The options of a config, with 'x' for paths that it must have."""
  task = tasks.task_of(config)
  complete = config.to_dict()
  for cls in task.schema.classes(complete).values():
    section = complete[cls.section] if cls.section else complete
    for field in dataclasses.fields(cls):
      if declaring.rule_of(field).required and section.get(field.name) == "":
        section[field.name] = "x"
  found, _ = task.resolve(ml_collections.ConfigDict(complete))
  return found


def options(task="pretrain", method="hdc", **changes):
  """The options of `config`, with 'x' for paths that it must have."""
  return resolve(config(task, method, **changes))


def make_method(**changes):
  """The method of `options`."""
  made = options(**changes)
  return made.method.make(made.augment, made.model.size)


def training(mesh, **changes):
  """The training of `options`, for the devices of a mesh."""
  return options(**changes).make_training(mesh)


def save_run(workdir, training, config):
  """Saves weights as of a trained network, as a run of no steps does.

  Args:
    workdir: Directory of the run.
    training: The training of the config.
    config: A config of any task.

  Returns:
    The state.
  """
  shapes = jax.eval_shape(training.init)
  zeros = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), shapes)
  state = zeros.replace(
    params=weights.plausible(shapes.params),
    batch_stats=weights.plausible(shapes.batch_stats),
  )
  values = tasks.task_of(config).run_config(config.to_dict()).values
  with saving.Checkpoints(workdir) as saved:
    saved.save(0, state, {"step": 0}, values)
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
