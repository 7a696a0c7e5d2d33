"""HDC on Kinetics-400 with 3D-ResNet18: the paper's recipe.

  python -m hdc_jax.main --config=configs/r3d18.py \
    --config.data.path=/data/k400 --workdir=runs/k400

Arguments, after a colon:
  method=cvrl    (or dsm) pretrains with that method and its recipe.
  task=finetune  (or linear, attentive, retrieve, bias, embed, preview) runs
                 that task instead, with its recipe; evaluations also need
                 config.checkpoint.
"""

import ml_collections

from hdc_jax import config as config_lib


def get_config(arg: str = "") -> ml_collections.ConfigDict:
  """Makes the config, given arguments such as 'task=retrieve'."""
  args = config_lib.parse_arg(arg, task="pretrain", method="hdc")
  return config_lib.default(**args, changes={"model.name": "r3d18"})
