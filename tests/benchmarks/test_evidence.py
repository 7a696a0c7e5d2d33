"""The measurements of the claim: runs, records, verdicts and the page."""

import dataclasses
import json

import numpy as np
import pytest
from scipy import stats
from sklearn.linear_model import RidgeClassifierCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.evidence import (
  command,
  foresight,
  measuring,
  running,
  studies,
  summary,
)
from hdc_jax.evaluate import ridge

SMALL = studies.Study(
  title="Made",
  videos="made videos",
  hypothesis="None.",
  prepare=(
    "--dataset=synthetic",
    "--world=camera",
    "--height=32",
    "--short_side=32",
    "--videos=20",
  ),
  motion="motion",
  scene="scene",
  rows=("sc@5", "hdc"),
  seeds=(0, 1),
  changes={
    "data.frames": 4,
    "data.batch_size": 8,
    "data.canvas": 0,
    "model.size": 16,
    "model.width": 2,
    "train.steps": 2,
    "retrieve.neighbours": 3,
  },
)


@pytest.fixture
def study(monkeypatch):
  monkeypatch.setattr(running, "STUDIES", {"made": SMALL})
  monkeypatch.setattr(command, "STUDIES", {"made": SMALL})
  monkeypatch.setattr(summary, "STUDIES", {"made": SMALL})
  monkeypatch.setattr(foresight, "STUDIES", {"made": SMALL})
  return SMALL


def record(row, seed, value, untrained=20.0, study="made", variant=""):
  """A record with one value for all that is measured."""

  def network(value):
    blocks = {f"block{n}": dict.fromkeys(measuring.MEASURES, value)}
    return {label: blocks for label in ("motion", "scene")}

  n = 5
  return {
    "study": study,
    "variant": variant,
    "row": row,
    "seed": seed,
    "settings": running.settings(study, variant, row),
    "device": "2 cores",
    "versions": {"jax": "1"},
    "trained": network(value),
    "untrained": network(untrained),
    "chance": {name: {"": {"top1": 12.5}} for name in ("motion", "scene")},
  }


@pytest.mark.parametrize(
  ("differences", "verdict"),
  [
    ([3.0, 2.0, 4.0, 3.5, 2.5], summary.HOLDS),
    ([-3.0, -2.0, -4.0, -3.5, -2.5], summary.CONTRADICTED),
    ([3.0, -2.0, 4.0, -3.5, 2.5], summary.OPEN),
    ([9.0], summary.OPEN),
  ],
)
def test_a_claim_is_decided_as_by_a_t_test_of_pairs(differences, verdict):
  first = dict(enumerate(differences))
  second = dict.fromkeys(range(9), 0.0)
  assert summary.decide(first, second)[0] == verdict
  if len(differences) > 1:
    p = stats.ttest_1samp(differences, 0.0).pvalue
    assert (p < 0.05) == (verdict != summary.OPEN)


def test_only_records_of_the_study_as_it_is_now_count():
  now = [record("hdc", seed, 50.0 + seed) for seed in (0, 1)]
  before = record("sc@5", 0, 90.0) | {"settings": {"fields": {}}}
  again = record("hdc", 1, 60.0)
  figures = summary.Figures.of([*now, before, again], "made", "")
  assert figures.rows == ["untrained", "hdc"]
  values = figures.values("hdc", "motion", "block5", "knn")
  assert values == {0: 50.0, 1: 60.0}
  untrained = figures.values("untrained", "motion", "block5", "knn")
  assert untrained == {0: 20.0, 1: 20.0}
  assert figures.chance("scene") == 12.5


def test_groups_are_left_out_of_the_linear_classifier():
  """Against scikit-learn, fitted anew without each group."""
  rng = np.random.default_rng(0)
  labels, groups = np.arange(60) % 3, np.arange(60) // 6
  features = rng.normal(size=(60, 5)) + np.eye(3, 5)[labels]
  shown = np.eye(3, dtype=bool)[labels]
  got = measuring._ridge(features, features, shown, groups, groups)
  for group in range(10):
    mine = groups == group
    model = make_pipeline(StandardScaler(), RidgeClassifierCV(ridge.PENALTIES))
    model.fit(features[~mine], labels[~mine])
    want = model.decision_function(features[mine]) - model[-1].intercept_
    np.testing.assert_allclose(got[mine], want, rtol=1e-4, atol=1e-5)


def test_what_has_a_record_is_not_run_again(study, tmp_path, monkeypatch):
  runs = []
  monkeypatch.setattr(
    running, "_train_and_measure", lambda *args: runs.append(args[:4]) or {}
  )
  flags = [f"--records={tmp_path / 'records'}", f"--workdir={tmp_path}"]
  assert command.main(["run", "--studies", "made", "--seeds", "1", *flags]) == 0
  assert command.main(["run", "--studies", "made", *flags]) == 0
  assert runs == [
    ("made", "", row, seed) for seed in (1, 0) for row in study.rows
  ]
  lines = running.read(tmp_path / "records", "made")
  assert [line["seed"] for line in lines] == [1, 1, 0, 0]
  assert lines[0]["videos"] == {"train": 16, "test": 4}


def test_the_page_has_what_the_records_have(tmp_path):
  records = tmp_path / "docs" / "evidence"
  records.mkdir(parents=True)
  values = {"sc@5": 30.0, "tc@5": 40.0, "hdc": 40.2}
  lines = [
    record(row, seed, value + seed / 10)
    for row, value in values.items()
    for seed in range(3)
  ]
  (records / "made.jsonl").write_text("\n".join(map(json.dumps, lines)))
  page = tmp_path / "docs" / "evidence.md"
  flags = [f"--records={records}", f"--page={page}"]
  assert command.main(["write", *flags]) == 0
  text = page.read_text()
  flat = " ".join(text.split())
  assert (
    "*Spatial contrast learns the scene*: above the untrained network on "
    "generated videos; below temporal contrast on generated videos. *Temporal "
    "contrast learns the motion*: above the untrained network on generated "
    "videos; above spatial contrast on generated videos. *HDC learns both*: "
    "above the untrained network by motion on generated videos;"
  ) in flat
  assert (
    "(seeds of a row: 3). As expected: tc@5 is above sc@5 by motion;" in flat
  )
  assert "Against the expectation: tc@5 is above sc@5 by scene." in flat
  assert "| scene | sc@5 > tc@5 | -10.0 ± 0.0 | contradicted |" in text
  assert "| tc@5 | 3 | 40.1 ± 0.2 |" in text
  assert "2 cores, jax 1 (9 runs)" in text
  assert "](evidence/made.png)" in text
  assert (records / "made.png").read_bytes().startswith(b"\x89PNG")


def test_variants_are_drawn_side_by_side(tmp_path):
  records = tmp_path / "docs" / "evidence"
  records.mkdir(parents=True)
  lines = [
    record(row, seed, 30.0 + seed, study="premise", variant=variant)
    for variant in ("shared scene 1", "identity 1")
    for row in ("sc@5", "tc@5")
    for seed in range(2)
  ]
  (records / "premise.jsonl").write_text("\n".join(map(json.dumps, lines)))
  page = tmp_path / "docs" / "evidence.md"
  flags = [f"--records={records}", f"--page={page}"]
  assert command.main(["write", *flags]) == 0
  text = page.read_text()
  assert text.count("| tc@5 | 2 | 30.5 ± 6.4 |") == 2
  assert text.index("### shared scene 1") < text.index("### identity 1")
  assert "### moving 0" not in text
  assert (records / "premise.png").read_bytes().startswith(b"\x89PNG")


def test_health_that_ranks_as_the_results_do():
  rng = np.random.default_rng(0)
  gains = rng.permutation(24)
  records = [
    record("hdc", seed, 20.0 + gain)
    | {
      "health": {
        "early": {"rank": np.exp(gain), "noise": 0.1 * gain + rng.normal()},
        "alarms": [{"step": 10}] if gain < 3 else [],
      }
    }
    for seed, gain in enumerate(gains)
  ]
  found = foresight.rank_correlations(records)
  early = [r["health"]["early"]["noise"] for r in records]
  ranks = [np.argsort(np.argsort(x)) for x in (early, gains)]
  assert found["rank"] == pytest.approx(1)
  assert found["noise"] == pytest.approx(np.corrcoef(*ranks)[0, 1])
  text = "\n".join(foresight.describe(records))
  assert "over 24 runs" in text
  assert "| rank | 1.00 |" in text
  assert "3 of these runs had an alarm. Of those, 2 ended above" in text
  few = records[: foresight.FEWEST - 1]
  assert not list(foresight.describe(few))


def test_real_videos_need_their_directory(tmp_path, capsys):
  flags = [f"--records={tmp_path}", f"--workdir={tmp_path}"]
  assert command.main(["run", "--studies", "real", *flags]) == 2
  assert "--videos: name the directory of UT-Interaction" in (
    capsys.readouterr().err
  )
  flags.append(f"--videos={tmp_path}")
  assert command.main(["run", "--studies", "real", *flags]) == 3


@pytest.mark.slow
@pytest.mark.usefixtures("one_device")
def test_a_run(study, tmp_path, monkeypatch, quick):
  """Trained and untrained, at every block, by both labels."""
  monkeypatch.setattr(
    running,
    "STUDIES",
    {"made": dataclasses.replace(study, rows=("hdc",), pictured=("hdc",))},
  )
  runs = running.Runs(tmp_path / "records", tmp_path)
  assert runs.run("made", "", "hdc", 0)
  (line,) = running.read(tmp_path / "records", "made")
  for network in ("trained", "untrained"):
    for label in ("motion", "scene"):
      blocks = line[network][label]
      assert list(blocks) == [f"block{n}" for n in range(1, 6)]
      for measures in blocks.values():
        assert measures.keys() == set(measuring.MEASURES)
        assert all(0 <= value <= 100 for value in measures.values())
  assert line["trained"] != line["untrained"]
  assert line["health"]["early"]["rank"] >= 1
  assert line["health"]["alarms"] == []
  assert not (tmp_path / "runs" / "made" / "hdc" / "0").exists()
  sheet = running.sheet_path(tmp_path / "records", "made", "hdc")
  assert sheet.read_bytes().startswith(b"\x89PNG")
