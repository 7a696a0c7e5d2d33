"""DSM on Kinetics-400 with C3D, which departs from the published code.

  python -m hdc_jax.prepare --dataset=kinetics400 --short_side=256 …
  python -m hdc_jax.main --config=configs/dsm_c3d.py \
    --config.data.path=/data/k400 --workdir=runs/dsm

The recipe is that of its scripts for Kinetics: momentum encoder 0.999 and
queue, negatives through the trained encoder, batch 256, 200 epochs at a rate of
0.003 with a tenth of it after epochs 120 and 160, weight decay on all
parameters, rotation by up to 10 degrees, random crops of 224 of 256 pixels,
colour jitter, no flip. It departs from them in this:

- The backbone is C3D, one of the paper's; the scripts train I3D, as
  `configs/i3d.py:method=dsm` does.
- The queue has 3,584 keys instead of 3,569, a multiple of the batch, and is
  empty at first instead of random. The keys of the batch itself are negatives
  besides.
- 240,000 videos · 200 epochs / 256 = 187,500 steps; the rate falls at 0.6 and
  0.8 of them. Another dataset or batch needs other `config.train.steps`.
- The momentum of SGD has the rate inside, as with all methods here.
- The spline of the paper warps the query, instead of local bulges, each clip by
  its own. Rotation, jitter and padding have their own choices in
  docs/design.md.

`--config.method.objective=triplet` and `--config.method.negative=flow` select
the variants of the paper. `--config.method.queue=0` leaves the queue out, which
departs from the paper too: the keys of all devices are the negatives then, as
many as the batch has videos; `--config.method.momentum=0.0` also leaves out the
momentum encoder.

Arguments, after a colon:
  task=finetune  (or linear, attentive, retrieve, bias, embed, preview) runs
                 that task instead, with its recipe; evaluations also need
                 config.checkpoint.
"""

import ml_collections

from hdc_jax import config as config_lib


def get_config(arg: str = "") -> ml_collections.ConfigDict:
  """Makes the config, given arguments such as 'task=finetune'."""
  args = config_lib.parse_arg(arg, task="pretrain")
  return config_lib.default(**args, method="dsm", changes={"model.name": "c3d"})
