"""The paper's tables: what is planned for each row."""

import ml_collections
import pytest

from hdc_jax import tasks
from hdc_jax.config import files
from hdc_jax.errors import ConfigError
from hdc_jax.tasks import tables
from tests.tasks import planning

# The paper's figures, row by row.
TABLE2 = [69.0, 65.4, 61.0, 49.4, 68.0, 64.7]
TABLE3 = {
  "r3d18": (68.5, 38.1),
  "r3d18-slow": (69.8, 38.4),
  "c3d": (72.3, 39.3),
  "c3d-slow": (73.1, 39.5),
  "r2plus1d10": (76.2, 39.8),
  "r2plus1d10-slow": (76.8, 40.0),
}
TABLE4 = {1: 33.9, 5: 49.6, 10: 55.7, 20: 61.6, 50: 69.9}
TABLE5 = {1: 14.6, 5: 28.8, 10: 36.1, 20: 44.8, 50: 57.9}


def plan(table, workdir="/runs", **options):
  return tables.plan(planning.make(table, **options), workdir)


def published(row):
  """What stands in a row of the table before anything has been run."""
  values = row.values({})
  del values["name"]
  return values


def values(job):
  """The config of a job."""
  return ml_collections.ConfigDict(job.config.values)


def places(row):
  return [str(job.directory.relative_to("/runs")) for job in row.jobs]


def test_table_1():
  rows = plan(1)
  assert [published(row) for row in rows] == [
    {"top1_published": figure} for figure in planning.TABLE1
  ]
  losses = [
    (method.contrasts, method.blocks, method.weights)
    for row in rows[1:]
    for method in [values(row.jobs[0]).method]
  ]
  both = ("spatial", "temporal")
  assert losses == [
    (("spatial",), (5,), (1.0,)),
    (("temporal",), (5,), (1.0,)),
    (both, (5,), (1.0,)),
    (both, (4, 5), (1.0, 1.0)),
    (both, (4, 5), (0.5, 1.0)),
    (both, (3, 4, 5), (1.0, 1.0, 1.0)),
    (both, (3, 4, 5), (0.25, 0.5, 1.0)),
  ]
  scratch, *_, full = rows
  (job,) = scratch.jobs
  assert values(job).checkpoint == ""
  assert places(full) == ["pretrain/full", "ucf101-split1/full"]
  assert full.changes == {}
  for row in rows:
    last = values(row.jobs[-1])
    assert (last.task, last.data.path) == ("finetune", "ucf")
    assert last.data.folds == (1,)


def test_table_2_leaves_out_augmentations():
  rows = plan(2)
  assert [published(row) for row in rows] == [
    {"top1_published": figure} for figure in TABLE2
  ]
  jitter = {"augment.jitter.probability": 0.0}
  replication = {"augment.replication.probability": 0.0}
  assert [row.changes for row in rows] == [
    {},
    jitter,
    replication,
    jitter | replication,
    {"augment.flip": 0.0},
    {"augment.scales": [0.875]},
  ]
  for row in rows:  # what is left out is left out of the pretraining alone
    assert values(row.jobs[1]).augment == values(rows[0].jobs[1]).augment


def test_table_3_is_of_backbones_and_both_datasets():
  rows = plan(3)
  assert {row.row.name: published(row) for row in rows} == {
    name: {"ucf101_published": ucf101, "hmdb51_published": hmdb51}
    for name, (ucf101, hmdb51) in TABLE3.items()
  }
  for row in rows:
    name, _, slow = row.row.name.partition("-")
    assert set(row.changes) <= {"model.name", "optim.decay"}
    pretraining, *evaluations = (values(job) for job in row.jobs)
    assert pretraining.optim.decay == (1e-5 if slow else 1e-4)
    assert [config.data.path for config in evaluations] == ["ucf", "hmdb"]
    for config in (pretraining, *evaluations):
      assert config.model.name == name
    for config in evaluations:
      assert config.data.folds == ()
      assert config.optim.decay == 1e-4


@pytest.mark.parametrize(
  ("table", "figures", "path"), [(4, TABLE4, "ucf"), (5, TABLE5, "hmdb")]
)
def test_tables_4_and_5_are_retrieval(table, figures, path):
  rows = plan(table, base="tiny", **{"retrieve.data.folds": (2,)})
  assert {row.row.name: published(row) for row in rows} == {
    "c3d": {f"top{k}_published": figure for k, figure in figures.items()},
    "r3d18": {},
    "r2plus1d10": {},
  }
  for row in rows:
    config = values(row.jobs[1])
    assert (config.task, config.data.path) == ("retrieve", path)
    assert config.data.folds == (1,)
    assert config.retrieve.topk == (1, 5, 10, 20, 50)


def test_the_same_pretraining_is_run_once_also_for_other_tables():
  (first, *_), full = plan(3), plan(1)[-1]
  assert first.row.name == "r3d18"
  assert first.jobs[0] == full.jobs[0]
  rows = plan(3, **{"pretrain.optim.decay": 1e-5})
  directories = [places(row)[0] for row in rows]
  assert directories == [
    f"pretrain/{name}"
    for name in ("full", "c3d", "r2plus1d10")
    for _ in range(2)
  ]


def test_evaluations_have_the_backbone_of_the_pretraining():
  options = {"base": "tiny", "pretrain.model.width": 2}
  for table in (1, 3):
    for row in plan(table, **options):
      for job in row.jobs:
        model = values(job).model
        assert model.width == 2
        # Others than tiny's backbone have no stem to choose.
        own = model.name == "r3d18"
        assert model.get("stem") == ((3, 7, 7) if own else None)


@pytest.mark.parametrize("base", ["r3d18", "tiny", "c3d"])
def test_config(base, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)  # the base is found all the same
  config = files.read(f"{planning.CONFIG}:base={base}")
  for task in ("pretrain", "finetune", "retrieve"):
    want = files.read(f"{base}:task={task}")
    assert config[task].to_dict() == want.to_dict()


def test_bad_input():
  with pytest.raises(ConfigError, match=r"config\.table: 7 is not one of 1, 2"):
    plan(7)
  with pytest.raises(ConfigError, match=r"^config\.ucf101 is not set: name"):
    plan(1, **{"ucf101": ""})
  with pytest.raises(ConfigError, match=r"config\.pretrain\.data\.path is not"):
    plan(5, **{"pretrain.data.path": ""})
  with pytest.raises(ConfigError, match=r"config\.hmdb51 is not set"):
    plan(3, **{"hmdb51": ""})
  assert plan(4, **{"hmdb51": ""})  # which it does not need
  with pytest.raises(ConfigError, match=r"finetune\.optim.*: 'rate' is not"):
    plan(1, **{"finetune.optim.rate": 0.1})
  message = (
    r"^config\.finetune, for the run ucf101-split1/scratch: config\.data"
  )
  with pytest.raises(ConfigError, match=message):
    tasks.resolve(planning.make(1, **{"finetune.data.frames": 0}))
  with pytest.raises(ConfigError, match="base: 'tables' is not one of"):
    files.read(f"{planning.CONFIG}:base=tables")
