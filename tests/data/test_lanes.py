"""Lanes that do not fit are errors that name what fits."""

import numpy as np
import pytest

from hdc_jax.data import lanes
from hdc_jax.errors import ConfigError
from hdc_jax.options import identity
from hdc_jax.tasks import TASKS
from tests import small
from tests.data.clips import laned


@pytest.mark.parametrize(
  ("lanes", "message"),
  [
    (3, r"lanes=3 does not divide config.data.batch_size=8: use 2 or 4$"),
    (16, r"lanes=16 does not divide config.data.batch_size=8: use 8$"),
    (0, "config.data.lanes=0 must be at least 1"),
  ],
)
def test_lanes_are_equal_parts_of_a_batch(lanes, message):
  with pytest.raises(ConfigError, match=message):
    small.options(data__lanes=lanes, data__batch_size=8)


def test_fine_tuning_has_no_lanes():
  with pytest.raises(ConfigError, match="lanes"):
    small.options("finetune", data__lanes=2)


def test_a_run_is_not_resumed_with_other_lanes():
  """They decide the order; those of runs of older versions had one."""
  assert "data.lanes" in identity.DECISIVE
  task = TASKS["pretrain"]
  _, laned_run = task.resolve(small.tiny(data__lanes=2, data__path="x"))
  _, run = task.resolve(small.tiny(data__path="x"))
  saved = {**run.values, "data": dict(run.values["data"])}
  del saved["data"]["lanes"]
  run.check_resumes(saved, "run")
  with pytest.raises(ConfigError, match=r"data\.lanes is 2, but .* has 1"):
    laned_run.check_resumes(saved, "run")


@pytest.mark.parametrize(
  ("count", "processes", "fits"),
  [(1, 16, True), (8, 2, True), (8, 8, True), (4, 8, False), (8, 3, False)],
)
def test_processes_share_whole_lanes(count, processes, fits):
  if fits:
    lanes.check_processes(count, 64, processes)
    return
  with pytest.raises(ConfigError, match=f"not split over {processes} proc"):
    lanes.check_processes(count, 64, processes)


@pytest.mark.parametrize("processes", [1, 2, 4])
def test_every_shard_is_of_one_process(processes):
  wanted = [lanes.Share(4, i, processes).needs(10) for i in range(processes)]
  assert np.sum(wanted, axis=0).tolist() == [1] * 10
  everything = [
    lanes.Share(1, i, processes).needs(10) for i in range(processes)
  ]
  assert np.all(everything)


def test_uneven_lanes_are_said():
  even, uneven = laned.index_of((10,) * 4), laned.index_of((10,) * 3)
  assert not lanes.describe(even, np.arange(40), 1)
  said = lanes.describe(even, np.arange(40), 2)
  assert said == "2 lanes, each of its own shards"
  said = lanes.describe(uneven, np.arange(30), 2)
  assert "of the dataset they have 10 to 20 videos" in said
