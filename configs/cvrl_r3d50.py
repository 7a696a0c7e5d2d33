"""CVRL on Kinetics-400 with R3D-50, at a rate that departs from the paper.

  python -m hdc_jax.prepare --dataset=kinetics400 --short_side=256 …
  python -m hdc_jax.main --config=configs/cvrl_r3d50.py \
    --config.data.path=/data/k400 --workdir=runs/cvrl

The paper's rate is 0.32. It is for a loss that adds the two directions of
NT-Xent, and whose gradients are added over replicas. The loss here is the mean
over both directions and over all videos of the batch, so the same steps need
0.32 · 2 · replicas. The default of 0.64 is that of one replica. For a run that
had 8 replicas, set `--config.optim.lr=5.12`. The cosine counts from step 0, as
in the official code. docs/design.md has the other choices.

Arguments, after a colon:
  task=linear  (or finetune, attentive, retrieve, bias, embed, preview) runs
               that task instead, with its recipe; evaluations also need
               config.checkpoint.
"""

import ml_collections

from hdc_jax import config as config_lib


def get_config(arg: str = "") -> ml_collections.ConfigDict:
  """Makes the config, given arguments such as 'task=linear'."""
  args = config_lib.parse_arg(arg, task="pretrain")
  config = config_lib.default(
    **args, method="cvrl", changes={"model.name": "r3d50"}
  )
  if config.task == "linear":
    # Clips are longer than in pretraining, and the crops of the test are as
    # large as the short side of the frames.
    config.data.frames = 32
    config.test.split = "val"
    config.test.size = 256
    config.linear.rates = (32.0,)
  return config
