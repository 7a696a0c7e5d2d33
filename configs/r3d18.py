"""HDC on Kinetics-400 with 3D-ResNet18: the paper's recipe.

  python -m hdc_jax.main --config=configs/r3d18.py \
    --config.data.path=/data/k400 --workdir=runs/k400

Arguments, after a colon:
  task=finetune  (or linear, retrieve, embed) evaluates instead, with that
                 protocol's recipe: set config.checkpoint as well.
"""

import ml_collections

from hdc_jax import config as config_lib


def get_config(arg: str = "") -> ml_collections.ConfigDict:
  """The config; `arg` holds arguments as in `task=retrieve`."""
  args = config_lib.parse_arg(arg, task="pretrain")
  config = config_lib.default(args["task"])

  # 128 videos, two clips of 16 frames, cropped to 128×128, shown at 112×112.
  config.data.batch_size = 128
  config.data.frames = 16
  config.data.stride = 1
  config.data.canvas = 128
  config.model.name = "r3d18"
  config.model.size = 112

  config.method.name = "hdc"
  config.method.contrasts = ("spatial", "temporal")
  config.method.blocks = (3, 4, 5)
  config.method.weights = (0.25, 0.5, 1.0)
  config.method.temperature = 0.07
  config.method.dim = 128

  # Keras SGD; HDC† is the same with a slower decay, by our reading 1e-5.
  config.optim.lr = 0.1
  config.optim.momentum = 0.9
  config.optim.decay = 1e-4
  config.optim.l2 = 5e-5
  return config
