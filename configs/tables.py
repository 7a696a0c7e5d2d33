"""The tables of the HDC paper: one command makes a table with all its runs.

  python -m hdc_jax.main --config=configs/tables.py:table=1 \
    --config.pretrain.data.path=/data/k400 --config.ucf101=/data/ucf101 \
    --workdir=runs/tables --dry_run

prints the runs of a table and their estimated costs; without --dry_run they are
run. After an interruption, rerun the command to resume. docs/tables.md has
more.

Arguments, after a colon:
  table=1     losses          fine-tuning on split 1 of UCF101
  table=2     augmentations   fine-tuning on split 1 of UCF101
  table=3     backbones       fine-tuning on UCF101 and HMDB51, three splits
  table=4     retrieval       on UCF101
  table=5     retrieval       on HMDB51; tables 3 and 5 also need config.hmdb51
  base=r3d18  the config from which the configs of the runs are made

Any field of the runs can be set: --config.finetune.train.steps=100. Only three
things of the evaluations are set by the table: checkpoint, data.path and the
backbone, which is that of config.pretrain.
"""

import ml_collections

from hdc_jax import config as config_lib
from hdc_jax.config import files
from hdc_jax.errors import choose

_TASKS = ("pretrain", "finetune", "retrieve")


def get_config(arg: str = "") -> ml_collections.ConfigDict:
  """Makes the config, given arguments such as 'table=3,base=tiny'."""
  args = config_lib.parse_arg(arg, table=1, base="r3d18")
  bases = [name for name in files.packaged_names() if name != "tables"]
  base = choose("config argument base", args["base"], bases)
  config = config_lib.default("tables", changes={"table": args["table"]})
  for task in _TASKS:
    config[task] = files.read(f"{base}:task={task}")
  return config
