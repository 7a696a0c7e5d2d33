"""Configs and runs of the paper's tables, for tests of what is made of them."""

import json
import pathlib

from hdc_jax.config import files
from hdc_jax.runs import results
from hdc_jax.tasks import tables

CONFIG = pathlib.Path(__file__).parents[2] / "configs" / "tables.py"

# The paper's figures, row by row.
TABLE1 = [43.5, 61.3, 62.7, 65.5, 66.9, 67.8, 66.8, 69.0]


def make(table, base="r3d18", **changes):
  """The config of a table.

  Args:
    table: Number of the table.
    base: Name of the config that the runs' configs come from.
    **changes: Values of fields, by dotted name.
  """
  config = files.read(f"{CONFIG}:table={table},base={base}")
  paths = {"pretrain.data.path": "k400", "ucf101": "ucf", "hmdb51": "hmdb"}
  config.update_from_flattened_dict(paths | changes)
  return config


def flags(table):
  """A command whose runs are as small as they can be."""
  fields = {
    "data.frames": 4,
    "data.canvas": 32,
    "data.threads": 2,
    "model.size": 16,
    "model.width": 2,
    "model.dtype": "float32",
  }
  training = {"data.batch_size": 2, "train.steps": 2}
  test = {"test.batch_size": 8, "test.clips": 1}
  by_task = {
    "pretrain": fields | training,
    "finetune": fields | training | test,
    "retrieve": fields | test,
  }
  return [
    f"--config={CONFIG}:table={table},base=c3d",
    *(
      f"--config.{task}.{field}={value}"
      for task, own in by_task.items()
      for field, value in own.items()
    ),
  ]


def saved(workdir):
  """The rows of a table's result.json, by name."""
  rows = json.loads((workdir / "result.json").read_text())["rows"]
  return {row.pop("name"): row for row in rows}


class Jobs:
  """In place of the runs: notes where each would be, and can be interrupted."""

  def __init__(self, root):
    self.root, self.ran, self.allowed = root, [], 1000

  def run(self, job):
    """What `Job.run` does instead."""
    self.ran.append(str(job.directory.relative_to(self.root)))
    results.write_config(job.directory, job.config.values)
    if len(self.ran) > self.allowed:
      raise KeyboardInterrupt
    result = {
      "config_fingerprint": job.config.fingerprint,
      "top1": 50.0 + len(self.ran),
      "rows": [
        {"network": network, "top1": top1, "top50": 90.0}
        for network, top1 in (("trained", 70.0), ("untrained", 20.0))
      ]
      if job.task.name == "retrieve"
      else [],
    }
    return results.write_result(job.directory, result)

  def again(self, allowed=1000):
    """Lets so many runs end; returns where those from here on are."""
    self.ran, self.allowed = [], allowed
    return self.ran


def states(config, workdir):
  """How far each run of a table is."""
  rows = tables.plan(config, workdir)
  return [job.state for row in rows for job in row.jobs]
