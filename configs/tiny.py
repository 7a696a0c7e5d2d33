"""HDC on generated videos with a small 3D-ResNet18: minutes on a laptop CPU.

  make demo

Arguments, after a colon:
  task=retrieve  evaluates instead.
"""

import ml_collections

from hdc_jax import config as config_lib


def get_config(arg: str = "") -> ml_collections.ConfigDict:
  """The config; `arg` holds arguments as in `task=retrieve`."""
  args = config_lib.parse_arg(arg, task="pretrain")
  config = config_lib.default(args["task"])

  config.data.batch_size = 32
  config.data.frames = 8
  config.data.stride = 2
  config.data.canvas = 56
  config.model.width = 16
  # The stem is most of the work at this width; 3 frames instead of 7 halve it.
  config.model.stem = (3, 7, 7)
  config.model.size = 48
  # CPUs have no bfloat16 units.
  config.model.dtype = "float32"

  config.train.steps = 500
  config.train.log_every = 10
  config.train.checkpoint_every = 100

  config.test.clips = 4
  config.retrieve.topk = (1, 5)
  return config
