"""DSM on Kinetics-400 with C3D: the paper's recipe.

  python -m hdc_jax.prepare --dataset=kinetics400 --short_side=256 …
  python -m hdc_jax.main --config=configs/dsm_c3d.py \
    --config.data.path=/data/k400 --workdir=runs/dsm

`--config.method.objective=triplet`, `--config.method.negative=flow` and
`--config.method.momentum=0.999` select the variants of the paper.

Arguments, after a colon:
  task=finetune  (or linear, retrieve, embed, preview) runs that task instead,
                 with its recipe; evaluations also need config.checkpoint.
"""

import ml_collections

from hdc_jax import config as config_lib


def get_config(arg: str = "") -> ml_collections.ConfigDict:
  """Makes the config, given arguments such as 'task=finetune'."""
  args = config_lib.parse_arg(arg, task="pretrain")
  return config_lib.default(**args, method="dsm", changes={"model.name": "c3d"})
