"""The paper's tables: what is run of them, and a whole one."""

import json

import pytest

from hdc_jax import main
from hdc_jax.errors import DataError
from hdc_jax.prepare import command as prepare
from hdc_jax.tasks import table_rows as jobs_lib
from hdc_jax.tasks import tables
from tests import layouts
from tests.tasks import planning

pytestmark = pytest.mark.slow


def test_missing_data_is_found_before_anything_is_run(tmp_path, monkeypatch):
  def run(job):
    raise AssertionError(job)

  monkeypatch.setattr(jobs_lib.Job, "run", run)
  with pytest.raises(DataError, match=r"k400|ucf"):
    tables.run(planning.make(1), str(tmp_path))
  assert not list(tmp_path.iterdir())


def test_an_interrupted_run_shows_what_it_has_and_goes_on(jobs, tmp_path):
  config = planning.make(2)
  ran = jobs.again(allowed=3)
  with pytest.raises(KeyboardInterrupt):
    tables.run(config, str(tmp_path))
  assert ran == [
    "pretrain/full",
    "ucf101-split1/full",
    "pretrain/no-jitter",
    "ucf101-split1/no-jitter",
  ]
  rows = planning.saved(tmp_path)
  assert rows["full"] == {"top1": 52.0, "top1_published": 69.0}
  assert rows["no-flip"] == {"top1_published": 68.0}
  assert (tmp_path / "report.html").exists()
  assert planning.states(config, tmp_path) == [
    *["done"] * 3,
    "to resume",
    *["to do"] * 8,
  ]

  ran = jobs.again()
  result = tables.run(config, str(tmp_path))
  assert ran[:2] == ["ucf101-split1/no-jitter", "pretrain/no-replication"]
  assert len(ran) == 9
  assert result["rows"][0]["top1"] == 52.0
  assert set(planning.states(config, tmp_path)) == {"done"}

  ran = jobs.again()
  assert tables.run(config, str(tmp_path))["rows"] == result["rows"]
  assert ran == []


def test_changes_are_run_again(jobs, tmp_path):
  tables.run(planning.make(4), str(tmp_path))
  ran = jobs.again()
  tables.run(planning.make(4, **{"retrieve.test.clips": 2}), str(tmp_path))
  assert ran == [
    f"ucf101-retrieval/{n}" for n in ("c3d", "r3d18", "r2plus1d10")
  ]
  # A longer training has another last checkpoint, to evaluate again.
  tables.run(planning.make(4), str(tmp_path))
  ran = jobs.again()
  tables.run(
    planning.make(4, **{"pretrain.train.steps": 200_000}), str(tmp_path)
  )
  assert len(ran) == 6


def test_another_table_runs_only_what_it_has_besides(jobs, tmp_path):
  tables.run(planning.make(2), str(tmp_path))
  ran = jobs.again()
  tables.run(planning.make(1), str(tmp_path))
  assert "ucf101-split1/scratch" in ran
  assert not [place for place in ran if place.endswith("/full")]
  ran = jobs.again()
  tables.run(planning.make(5), str(tmp_path))
  assert "pretrain/full" not in ran and "hmdb51-retrieval/r3d18" in ran


def test_retrieval_takes_the_trained_network(jobs, tmp_path, capsys):
  tables.run(planning.make(5), str(tmp_path))
  row = planning.saved(tmp_path)["c3d"]
  assert list(row.items())[:3] == [
    ("top1", 70.0),
    ("top1_published", 14.6),
    ("top5_published", 28.8),
  ]
  assert planning.saved(tmp_path)["r3d18"] == {"top1": 70.0, "top50": 90.0}
  head, *lines = capsys.readouterr().out.splitlines()[1:]
  assert head.split()[:4] == ["name", "top1", "top1", "published"]
  assert lines[0].split()[:3] == ["c3d", "70.0", "14.6"]
  assert lines[1].split()[:3] == ["r3d18", "70.0", "–"]


@pytest.fixture(scope="module")
def ucf101(tmp_path_factory):
  root = tmp_path_factory.mktemp("ucf101")
  made = layouts.ucf101(root, classes=("Archery", "Rowing"), clips=1)
  options = ["--dataset=ucf101", "--short_side=40", "--workers=1"]
  paths = [f"--source={made.source}", f"--splits={made.splits}"]
  assert prepare.main([*options, *paths, f"--output={root / 'data'}"]) == 0
  return root / "data"


def test_the_whole_of_table_1(ucf101, tmp_path, quick, classifiers, capsys):
  flags = [
    *planning.flags(1),
    f"--config.pretrain.data.path={ucf101}",
    "--config.pretrain.data.split=train1",
    f"--config.ucf101={ucf101}",
    f"--workdir={tmp_path}",
  ]
  assert main.main(flags) == 0
  rows = planning.saved(tmp_path)
  assert [row["top1_published"] for row in rows.values()] == planning.TABLE1
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
