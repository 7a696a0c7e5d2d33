"""Trains through a step that is not finite, in every process of a cluster.

Its arguments: those of `hosts.join`, a prepared dataset, and a directory.
"""

import logging
import sys

import jax
import numpy as np

from hdc_jax.checkpoints import saving
from hdc_jax.distributed import processes
from hdc_jax.runs import results
from hdc_jax.tasks import pretrain
from tests import hosts, quick, small
from tests.train import stepping

BAD = 2


def main(arguments):
  data, workdir = hosts.join(arguments)
  make_training, made = pretrain.Learning.make_training, []
  quick.use(setattr)

  def make(options, mesh):
    made[:] = made or [stepping.poisoned(make_training(options, mesh), [BAD])]
    return made[0]

  pretrain.Learning.make_training = make
  records = []
  logging.getLogger("hdc_jax.train.skipping").addFilter(records.append)
  states = []
  for named in ("", f"{BAD}"):
    directory = f"{workdir}/named{named}"
    changes = {"train__steps": 3, "train__skip_steps": named}
    config = small.tiny(data__path=data, **changes)
    pretrain.run(config, directory)
    processes.exchange("the first process has written it")
    result = results.read_result(directory)
    assert result.get("skipped") == (None if named else 1)
    with saving.Checkpoints(directory) as saved:
      restored = made[0].restore_state(saved, 3)
    states.append(jax.device_get(restored.state))
  jax.tree.map(np.testing.assert_array_equal, *states)
  (record,) = records  # of the first run
  start, ids = record.getMessage().split("; its videos: ")
  assert start == f"step {BAD} is skipped, as its loss is nan"
  everyone = ", ".join(processes.exchange(ids)).split(", ")
  assert len(set(everyone)) == len(everyone) == config.data.batch_size


if __name__ == "__main__":
  main(sys.argv[1:])
