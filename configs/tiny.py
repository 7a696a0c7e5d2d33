"""A small 3D-ResNet18 for generated videos, which departs from all papers.

It is trained in minutes on a CPU:

  make demo

Arguments, after a colon:
  method=cvrl    (or dsm) uses that method instead of HDC.
  task=finetune  (or linear, attentive, retrieve, bias, embed, preview) runs
                 that task instead of pretraining.
"""

import ml_collections

from hdc_jax import config as config_lib
from hdc_jax.errors import choose

# Recipes by method, for a small network that learns in few steps from few
# videos. All methods have HDC's norm and learning rate. CVRL has less distorted
# views. DSM takes scaled flow as its negative, as all clips of a generated
# video have the same motion; its augmentations are HDC's, and it has neither
# momentum encoder nor queue, which would hold a video many times. Canvases are
# those of the demo's frames of 64 pixels; with `--config.data.canvas=0` they
# follow other datasets.
_RECIPES = {
  "hdc": {"data.canvas": 56},
  "cvrl": {
    "data.canvas": 86,
    "model.norm": "instance",
    "method.hidden": (128, 128, 128),
    "augment.area": (0.5, 1.0),
    "augment.jitter.brightness": 0.4,
    "augment.jitter.contrast": 0.4,
    "augment.jitter.saturation": 0.4,
    "augment.jitter.hue": 0.1,
    "optim.lr": 0.1,
    "optim.warmup": 50,
  },
  "dsm": {
    "data.canvas": 56,
    "model.norm": "instance",
    "method.negative": "flow",
    "method.momentum": 0.0,
    "method.queue": 0,
    "augment.scales": (1.0, 0.875, 0.75, 0.66),
    "augment.flip": 0.5,
    "augment.rotation": 0.0,
    "augment.jitter.probability": 0.8,
    "augment.jitter.brightness": 0.4,
    "augment.jitter.contrast": 0.4,
    "augment.jitter.saturation": 0.4,
    "augment.jitter.hue": 0.1,
    "augment.replication.probability": 0.5,
    "optim.lr": 0.1,
    "optim.schedule": "inverse_time",
    "optim.decay": 1e-4,
    "optim.decayed": "kernels",
  },
}
# Steps of training, by task.
_STEPS = {"pretrain": 400, "finetune": 200}
# Values for every task and method that has the field.
_SMALL = {
  "data.batch_size": 32,
  "data.frames": 8,
  "data.stride": 2,
  "model.width": 16,
  # At this width, the stem has most of the FLOPs. A kernel of 3 frames instead
  # of 7 halves them.
  "model.stem": (3, 7, 7),
  "model.size": 48,
  # CPUs have no bfloat16 units.
  "model.dtype": "float32",
  "train.log_every": 10,
  "train.checkpoint_every": 100,
  "linear.batch_size": 128,
  "attentive.batch_size": 128,
  "retrieve.topk": (1, 5),
}


def get_config(arg: str = "") -> ml_collections.ConfigDict:
  """Makes the config, given arguments such as 'task=retrieve'."""
  args = config_lib.parse_arg(arg, task="pretrain", method="hdc")
  recipe = choose("config.method.name", args["method"], _RECIPES)
  steps = {"train.steps": _STEPS.get(args["task"], 1)}
  config = config_lib.default(**args, recipe=recipe, changes=_SMALL | steps)
  if "test" in config:
    config.test.clips = min(config.test.clips, 4)
  return config
