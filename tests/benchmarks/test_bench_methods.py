"""The comparison of methods, with runs that take no time."""

import json

import pytest

from benchmarks import bench_methods
from hdc_jax.tasks import pretrain, retrieve

# ml_collections reads config files by it.
pytestmark = pytest.mark.filterwarnings(
  "ignore:the load_module:DeprecationWarning"
)


@pytest.fixture
def runs(monkeypatch, pytestconfig):
  """The configs that were run, by task and directory."""
  monkeypatch.chdir(pytestconfig.rootpath)
  made = {}

  def run_pretrain(config, workdir):
    made[workdir] = config

  def run_retrieve(config, workdir):
    made[workdir] = config
    seed = made[config.checkpoint].seed
    return {
      "rows": [
        {"label": "motion", "network": name, "top1": top1, "knn": 2 * top1}
        for name, top1 in (("trained", 40.0 + seed), ("untrained", 10.0))
      ]
    }

  monkeypatch.setattr(pretrain, "run", run_pretrain)
  monkeypatch.setattr(retrieve, "run", run_retrieve)
  return made


def test_rows_and_seeds(runs, tmp_path, capsys):
  flags = ["--config=configs/tiny.py", "--config.data.path=videos"]
  flags += ["--config.train.steps=7", "--config.retrieve.topk=(1, 3)"]
  flags += [f"--workdir={tmp_path}"]
  path = tmp_path / "record.json"
  assert bench_methods.main([*flags, f"--json={path}"]) == 0
  assert len(runs) == 2 * 3 * len(bench_methods.ROWS)
  for workdir, config in runs.items():
    assert config.data.path == "videos"
    row, seed = (
      workdir.removeprefix(f"{tmp_path}/").split("/")[0].split("-seed")
    )
    if workdir.endswith("pretrain"):
      assert config.method.name == bench_methods.ROWS[row][0]
      assert (config.train.steps, config.seed) == (7, int(seed))
      assert "retrieve" not in config
      if row == "tc@5":
        assert config.method.contrasts == ("temporal",)
      if row == "hdc":
        assert config.method.blocks == (3, 4, 5)
    else:
      assert config.retrieve.topk == (1, 3)
  record = json.loads(path.read_text())
  assert [
    run["top1"]
    for run in record["runs"]
    if (run["method"], run["network"]) == ("dsm", "trained")
  ] == [40.0, 41.0, 42.0]
  rows = {row["name"]: row for row in record["rows"]}
  dsm = rows["motion/dsm"]
  assert (dsm["top1"], dsm["knn"], dsm["top1_untrained"]) == (41.0, 82.0, 10.0)
  # Student's t for three values that are 1 apart.
  assert dsm["top1_ci95"] == pytest.approx(4.303 / 3**0.5, rel=1e-3)
  assert "41.0 ± 2.5" in capsys.readouterr().out


def test_some_of_them(runs, tmp_path):
  flags = ["--config=configs/tiny.py", f"--workdir={tmp_path}"]
  assert bench_methods.main([*flags, "--rows", "dsm", "--seeds", "3", "5"]) == 0
  assert len(runs) == 4
  assert bench_methods.main([*flags, "--rows", "dsm", "--seeds", "3"]) == 2
  assert bench_methods.main([*flags, "--rows", "dsm", "--config.foo=1"]) == 2
