"""The paper's tables: what is planned, what is run, and a whole one."""

import functools
import json
import pathlib

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hdc_jax import main, models
from hdc_jax.config import identity
from hdc_jax.distributed import mesh
from hdc_jax.errors import ConfigError, DataError
from hdc_jax.prepare import command as prepare
from hdc_jax.runs import results
from hdc_jax.tasks import costs as costs_lib
from hdc_jax.tasks import dry_run, tables
from hdc_jax.train import flops as flops_lib
from tests import layouts
from tests.test_configs import load

CONFIG = pathlib.Path(__file__).parents[2] / "configs" / "tables.py"

# ml_collections reads config files by it.
pytestmark = pytest.mark.filterwarnings(
  "ignore:the load_module:DeprecationWarning"
)

# The paper's figures, row by row.
TABLE1 = [43.5, 61.3, 62.7, 65.5, 66.9, 67.8, 66.8, 69.0]
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


def make(table, base="r3d18", **changes):
  config = load(CONFIG, f"table={table},base={base}")
  paths = {"pretrain.data.path": "k400", "ucf101": "ucf", "hmdb51": "hmdb"}
  config.update_from_flattened_dict(paths | changes)
  return config


def plan(table, workdir="/runs", **options):
  return tables.plan(make(table, **options), workdir)


def published(row):
  """What stands in a row of the table before anything has been run."""
  values = row.values({})
  del values["name"]
  return values


def places(row):
  return [str(job.directory.relative_to("/runs")) for job in row.jobs]


def test_table_1():
  rows = plan(1)
  assert [published(row) for row in rows] == [
    {"top1_published": figure} for figure in TABLE1
  ]
  losses = [
    (method.contrasts, method.blocks, method.weights)
    for row in rows[1:]
    for method in [row.jobs[0].config.method]
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
  assert job.config.checkpoint == ""
  assert places(full) == ["pretrain/full", "ucf101-split1/full"]
  assert full.changes == {}
  for row in rows:
    last = row.jobs[-1].config
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
    assert row.jobs[1].config.augment == rows[0].jobs[1].config.augment


def test_table_3_is_of_backbones_and_both_datasets():
  rows = plan(3)
  assert {row.row.name: published(row) for row in rows} == {
    name: {"ucf101_published": ucf101, "hmdb51_published": hmdb51}
    for name, (ucf101, hmdb51) in TABLE3.items()
  }
  for row in rows:
    name, _, slow = row.row.name.partition("-")
    pretraining, *evaluations = (job.config for job in row.jobs)
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
    config = row.jobs[1].config
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
        assert job.config.model.width == 2
        # tiny's own stem is none that other backbones could have
        own = job.config.model.name == "r3d18"
        assert job.config.model.stem == ((3, 7, 7) if own else ())


@pytest.mark.parametrize("base", ["r3d18", "tiny", "c3d"])
def test_config(base, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)  # the base is found all the same
  config = load(CONFIG, f"base={base}")
  assert config.is_locked
  for task in ("pretrain", "finetune", "retrieve"):
    want = load(CONFIG.with_stem(base), f"task={task}")
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
  with pytest.raises(ConfigError, match="base: 'tables' is not one of"):
    load(CONFIG, "base=tables")


def test_missing_data_is_found_before_anything_is_run(tmp_path, monkeypatch):
  monkeypatch.setattr(tables, "TASKS", {})
  with pytest.raises(DataError, match=r"k400|ucf"):
    tables.run(make(1), str(tmp_path))
  assert not list(tmp_path.iterdir())


class Tasks(dict):
  """In place of the tasks: each notes where it ran, and can be interrupted."""

  def __init__(self, root):
    self.root, self.ran, self.allowed = root, [], 1000
    super().__init__(
      {name: self.task for name in ("pretrain", "finetune", "retrieve")}
    )

  def task(self, config, workdir):
    self.ran.append(str(pathlib.Path(workdir).relative_to(self.root)))
    results.write_config(workdir, config)
    if len(self.ran) > self.allowed:
      raise KeyboardInterrupt
    result = {
      "config_fingerprint": identity.fingerprint(config),
      "top1": 50.0 + len(self.ran),
      "rows": [
        {"network": network, "top1": top1, "top50": 90.0}
        for network, top1 in (("trained", 70.0), ("untrained", 20.0))
      ]
      if config.task == "retrieve"
      else [],
    }
    return results.write_result(workdir, result)

  def again(self, allowed=1000):
    """What a run does from here on."""
    self.ran, self.allowed = [], allowed
    return self.ran


@pytest.fixture
def tasks(tmp_path, monkeypatch):
  made = Tasks(tmp_path)
  monkeypatch.setattr(tables, "TASKS", made)
  monkeypatch.setattr(tables.sources, "read_index", lambda path: None)
  return made


def saved(workdir):
  rows = json.loads((workdir / "result.json").read_text())["rows"]
  return {row.pop("name"): row for row in rows}


def states(config, workdir):
  rows = tables.plan(config, workdir)
  return [job.state for row in rows for job in row.jobs]


def test_an_interrupted_run_shows_what_it_has_and_goes_on(tasks, tmp_path):
  config = make(2)
  ran = tasks.again(allowed=3)
  with pytest.raises(KeyboardInterrupt):
    tables.run(config, str(tmp_path))
  assert ran == [
    "pretrain/full",
    "ucf101-split1/full",
    "pretrain/no-jitter",
    "ucf101-split1/no-jitter",
  ]
  rows = saved(tmp_path)
  assert rows["full"] == {"top1": 52.0, "top1_published": 69.0}
  assert rows["no-flip"] == {"top1_published": 68.0}
  assert (tmp_path / "report.html").exists()
  assert states(config, tmp_path) == [
    *["done"] * 3,
    "to resume",
    *["to do"] * 8,
  ]

  ran = tasks.again()
  result = tables.run(config, str(tmp_path))
  assert ran[:2] == ["ucf101-split1/no-jitter", "pretrain/no-replication"]
  assert len(ran) == 9
  assert result["rows"][0]["top1"] == 52.0
  assert set(states(config, tmp_path)) == {"done"}

  ran = tasks.again()
  assert tables.run(config, str(tmp_path))["rows"] == result["rows"]
  assert ran == []


def test_changes_are_run_again(tasks, tmp_path):
  tables.run(make(4), str(tmp_path))
  ran = tasks.again()
  tables.run(make(4, **{"retrieve.test.clips": 2}), str(tmp_path))
  assert ran == [
    f"ucf101-retrieval/{n}" for n in ("c3d", "r3d18", "r2plus1d10")
  ]
  # A longer training has another last checkpoint, to evaluate again.
  tables.run(make(4), str(tmp_path))
  ran = tasks.again()
  tables.run(make(4, **{"pretrain.train.steps": 200_000}), str(tmp_path))
  assert len(ran) == 6


def test_another_table_runs_only_what_it_has_besides(tasks, tmp_path):
  tables.run(make(2), str(tmp_path))
  ran = tasks.again()
  tables.run(make(1), str(tmp_path))
  assert "ucf101-split1/scratch" in ran
  assert not [place for place in ran if place.endswith("/full")]
  ran = tasks.again()
  tables.run(make(5), str(tmp_path))
  assert "pretrain/full" not in ran and "hmdb51-retrieval/r3d18" in ran


def test_retrieval_takes_the_trained_network(tasks, tmp_path, capsys):
  tables.run(make(5), str(tmp_path))
  row = saved(tmp_path)["c3d"]
  assert list(row.items())[:3] == [
    ("top1", 70.0),
    ("top1_published", 14.6),
    ("top5_published", 28.8),
  ]
  assert saved(tmp_path)["r3d18"] == {"top1": 70.0, "top50": 90.0}
  head, *lines = capsys.readouterr().out.splitlines()[1:]
  assert head.split()[:4] == ["name", "top1", "top1", "published"]
  assert lines[0].split()[:3] == ["c3d", "70.0", "14.6"]
  assert lines[1].split()[:3] == ["r3d18", "70.0", "–"]


class Blocks(nn.Module):
  """Endpoints like a backbone's, of a layer each: quick to compile."""

  width: int
  norm: str
  dtype: jnp.dtype

  @nn.compact
  def __call__(self, x, train=False):
    endpoints = {}
    for block in range(1, 6):
      x = nn.tanh(nn.Dense(self.width * block)(x[:, :, ::2, ::2]))
      endpoints[f"block{block}"] = x
    return endpoints


@pytest.fixture
def quick(monkeypatch):
  """Makes programs that are small, for one device, and hardly optimised."""
  for name in ("c3d", "r3d18", "r2plus1d10"):
    monkeypatch.setitem(models.BACKBONES, name, models.Backbone(Blocks))
  for name, settings in {
    "make_mesh": {"devices": 1},
    "compiler_options": {"once": True},
  }.items():
    changed = functools.partial(getattr(mesh, name), **settings)
    monkeypatch.setattr(mesh, name, changed)


def small_flags(table):
  """A command whose runs are as small as they can be."""
  fields = {
    "data.batch_size": 2,
    "data.frames": 4,
    "data.canvas": 32,
    "data.threads": 2,
    "model.size": 16,
    "model.width": 2,
    "model.dtype": "float32",
    "train.steps": 2,
    "test.batch_size": 8,
    "test.clips": 1,
  }
  return [
    f"--config={CONFIG}:table={table},base=c3d",
    *(
      f"--config.{task}.{field}={value}"
      for task in ("pretrain", "finetune", "retrieve")
      for field, value in fields.items()
    ),
  ]


def test_a_dry_run_prints_and_writes_nothing(tmp_path, quick, capsys):
  flags = [
    *small_flags(3),
    "--config.pretrain.data.path=/nowhere",
    "--config.ucf101=/nowhere",
    "--config.hmdb51=/nowhere",
    f"--workdir={tmp_path / 'tables'}",
    "--dry_run",
  ]
  assert main.main(flags) == 0
  assert not list(tmp_path.iterdir())
  printed = capsys.readouterr().out
  assert "\nc3d: config.pretrain as it is\n" in printed
  assert '\nr3d18: model.name="r3d18"\n' in printed
  numbers = {
    line[:32].strip(): line[42:].split()
    for line in printed.splitlines()
    if line.startswith("  ")
  }
  # Two steps of 2 videos in three views; three trainings of two steps, and
  # five crops of each video of the three test sets.
  assert numbers["pretrain/full"][:2] == ["2", "12"]
  assert numbers["ucf101/c3d"][:2] == ["6", f"{12 + 5 * 11_213:,}"]
  assert numbers["hmdb51/c3d"][:2] == ["6", f"{12 + 5 * 4_590:,}"]
  flops = [float(n[2]) for name, n in numbers.items() if "/" in name]
  assert float(numbers["total"][2]) == pytest.approx(sum(flops), rel=0.01)
  assert numbers["still to run"] == numbers["total"]


def test_a_dry_run_tells_what_is_left(tasks, tmp_path, monkeypatch):
  for name in dry_run.ESTIMATES:
    costs = costs_lib.Cost(1, 10, 1e18)
    monkeypatch.setitem(dry_run.ESTIMATES, name, lambda *_, c=costs: c)
  tasks.again(allowed=3)
  with pytest.raises(KeyboardInterrupt):
    tables.run(make(1), str(tmp_path))
  lines = dry_run.describe(make(1), str(tmp_path)).splitlines()
  shown = {line[:32].strip(): line[32:].split() for line in lines}
  assert "scratch: no pretraining" in lines
  assert shown["pretrain/sc@5"] == ["done", "1", "10", "1"]
  assert shown["pretrain/tc@5"] == ["to", "resume", "1", "10", "1"]
  assert shown["pretrain/full"] == ["to", "do", "1", "10", "1"]
  assert shown["total"] == ["15", "150", "15"]
  assert shown["still to run"] == ["12", "120", "12"]


def test_a_shared_pretraining_costs_once(tmp_path, monkeypatch):
  for name in dry_run.ESTIMATES:
    costs = costs_lib.Cost(1, 10, 1e18)
    monkeypatch.setitem(dry_run.ESTIMATES, name, lambda *_, c=costs: c)
  config = make(3, **{"pretrain.optim.decay": 1e-5})
  lines = dry_run.describe(config, str(tmp_path)).splitlines()
  shared = [line.split() for line in lines if line[32:38] == "shared"]
  assert shared == [
    [f"pretrain/{name}", "shared", "0", "0", "0"]
    for name in ("full", "c3d", "r2plus1d10")
  ]
  assert lines[-6].split()[-3:] == ["15", "150", "15"]


def test_a_dry_run_of_another_task_prints_its_config(capsys):
  base = CONFIG.with_stem("tiny")
  assert main.main([f"--config={base}:task=retrieve", "--dry_run"]) == 0
  printed = json.loads(capsys.readouterr().out)
  want = load(base, "task=retrieve")
  assert identity.from_json(printed).to_dict() == want.to_dict()


def test_flops_of_a_known_product():
  a, b = np.ones((3, 4), np.float32), jax.ShapeDtypeStruct((4, 5), np.float32)
  assert flops_lib.count_flops(lambda x, y: x @ y, a, b) == 2 * 3 * 4 * 5


@pytest.fixture(scope="module")
def ucf101(tmp_path_factory):
  root = tmp_path_factory.mktemp("ucf101")
  made = layouts.ucf101(root, classes=("Archery", "Rowing"), clips=1)
  options = ["--dataset=ucf101", "--short_side=40", "--workers=1"]
  paths = [f"--source={made.source}", f"--splits={made.splits}"]
  assert prepare.main([*options, *paths, f"--output={root / 'data'}"]) == 0
  return root / "data"


def test_the_whole_of_table_1(ucf101, tmp_path, quick, capsys):
  flags = [
    *small_flags(1),
    f"--config.pretrain.data.path={ucf101}",
    "--config.pretrain.data.split=train1",
    f"--config.ucf101={ucf101}",
    f"--workdir={tmp_path}",
  ]
  assert main.main(flags) == 0
  rows = saved(tmp_path)
  assert [row["top1_published"] for row in rows.values()] == TABLE1
  for row in rows.values():
    assert row["top1"] in (0.0, 50.0, 100.0)  # of two videos
  for name in ("sc@5", "sc+tc@345-even"):
    evaluation = tmp_path / "ucf101-split1" / name
    result = json.loads((evaluation / "result.json").read_text())
    assert result["checkpoint"].endswith(f"pretrain/{name}/checkpoints/2")
  *_, page = capsys.readouterr().out.splitlines()
  assert page == f"report: {tmp_path / 'report.html'}"
  report = (tmp_path / "report.html").read_text()
  assert "sc+tc@45" in report and "67.8" in report
