"""HDC on Kinetics-400 with R(2+1)D-10: the paper's recipe.

  python -m hdc_jax.main --config=configs/r2plus1d10.py \
    --config.data.path=/data/k400 --workdir=runs/k400-r2plus1d10

As `configs/r3d18.py` but for the backbone.

Arguments, after a colon:
  method=cvrl    (or dsm) pretrains by that method, with its recipe.
  task=finetune  (or linear, retrieve, embed, preview) instead, with that
                 protocol's recipe: evaluations need config.checkpoint as well.
"""

import ml_collections

from hdc_jax import config as config_lib


def get_config(arg: str = "") -> ml_collections.ConfigDict:
  """The config; `arg` holds arguments as in `task=retrieve`."""
  args = config_lib.parse_arg(arg, task="pretrain", method="hdc")
  return config_lib.default(**args, changes={"model.name": "r2plus1d10"})
