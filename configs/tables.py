"""The tables of the HDC paper: everything they need, from one command each.

  python -m hdc_jax.main --config=configs/tables.py:table=1 \
    --config.pretrain.data.path=/data/k400 --config.ucf101=/data/ucf101 \
    --workdir=runs/tables --dry_run

prints what would be run and about what it costs; without --dry_run it is run.
Rerun the command to go on after an interruption. docs/tables.md says more.

Arguments, after a colon:
  table=1     losses          fine-tuning on split 1 of UCF101
  table=2     augmentations   the same
  table=3     backbones       fine-tuning on UCF101 and HMDB51, three splits
  table=4     retrieval       on UCF101
  table=5     retrieval       on HMDB51; 3 and 5 need config.hmdb51 as well
  base=r3d18  the config file beside this one that the runs' configs come from

Any field of the runs can be set: --config.finetune.train.steps=100. Only what
the evaluations have in common with a pretraining is set by the table: their
checkpoint, data.path, and the backbone, which is that of config.pretrain.
"""

import importlib.util
import pathlib
from collections.abc import Callable

import ml_collections

from hdc_jax import config as config_lib
from hdc_jax.errors import choose

_FOLDER = pathlib.Path(__file__).parent


def get_config(arg: str = "") -> ml_collections.ConfigDict:
  """The config; `arg` holds arguments as in `table=3,base=tiny`."""
  args = config_lib.parse_arg(arg, table=1, base="r3d18")
  base = _load(args["base"])
  config = ml_collections.ConfigDict(
    {
      "task": "tables",
      "table": args["table"],
      # What `hdc_jax.prepare` wrote of these datasets.
      "ucf101": "",
      "hmdb51": "",
      **{
        task: base(f"task={task}")
        for task in ("pretrain", "finetune", "retrieve")
      },
    }
  )
  return config.lock()


def _load(name: str) -> Callable[[str], ml_collections.ConfigDict]:
  """`get_config` of a file beside this one, whatever the working directory."""
  others = {path.stem: path for path in sorted(_FOLDER.glob("*.py"))}
  del others[pathlib.Path(__file__).stem]
  path = choose("config argument base", name, others)
  spec = importlib.util.spec_from_file_location(name, path)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module.get_config
