"""Generated videos with a small 3D-ResNet18: minutes on a laptop CPU.

  make demo

Arguments, after a colon:
  method=cvrl    (or dsm) instead of HDC.
  task=finetune  (or linear, retrieve, embed, preview) instead.
"""

import ml_collections

from hdc_jax import config as config_lib
from hdc_jax.errors import choose

# How so small a network learns in few steps, from so few videos: all methods
# with HDC's norm and rate, CVRL from views that are less distorted, and DSM
# with another motion as the negative, as a later clip has the same one here.
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
    "optim.lr": 0.1,
    "optim.decay": 1e-4,
  },
}
# Steps of training. In pretraining they are the demo's length; its videos are
# learnt much sooner.
_STEPS = {"pretrain": 500, "finetune": 200}
# Of every task and method that has these fields.
_SMALL = {
  "data.batch_size": 32,
  "data.frames": 8,
  "data.stride": 2,
  "model.width": 16,
  # The stem is most of the work at this width; 3 frames instead of 7 halve it.
  "model.stem": (3, 7, 7),
  "model.size": 48,
  # CPUs have no bfloat16 units.
  "model.dtype": "float32",
  "train.log_every": 10,
  "train.checkpoint_every": 100,
  "linear.batch_size": 128,
  "retrieve.topk": (1, 5),
}


def get_config(arg: str = "") -> ml_collections.ConfigDict:
  """The config; `arg` holds arguments as in `task=retrieve`."""
  args = config_lib.parse_arg(arg, task="pretrain", method="hdc")
  recipe = choose("config.method.name", args["method"], _RECIPES)
  steps = {"train.steps": _STEPS.get(args["task"], 1)}
  config = config_lib.default(**args, recipe=recipe, changes=_SMALL | steps)
  if "test" in config:
    config.test.clips = min(config.test.clips, 4)
  return config
