"""What the page of a run, or of several, says and holds."""

import json
import re

import pytest

from hdc_jax.report import page as report
from tests.report.pages import (
  CONFIG,
  NASTY,
  RESULT,
  ROWS,
  TERMS,
  Page,
  add_picture,
  add_predictions,
  cells,
  metrics_lines,
  write,
)


def test_says_what_was_run(tmp_path, run):
  text = write(tmp_path, [run]).text
  assert "HDC pretraining with r3d18" in text
  for fact in ("some/videos", "32 videos a step", "8 × TPU v5e", "1,234.6"):
    assert fact in text
  assert "5.00 → 1.25" in text and "3%" in text
  assert "jax 0.10.3" in text and "method.temperature 0.07" in text


def test_a_curve_for_each_term(tmp_path, run):
  page = write(tmp_path, [run])
  titles = [f["aria-label"].strip() for f in page.of("figure")]
  assert titles == [
    "Loss",
    "Loss by term",
    "Accuracy by term",
    "Clips per second",
    "Effective rank",
  ]
  assert len(page.of("svg")) == 5
  for term in TERMS:  # a label in both panels
    assert len(re.findall(rf"\b{term}\b", page.text)) == 2


def test_health_has_a_word_and_curves_with_what_is_good(tmp_path, run):
  text = write(tmp_path, [run]).text
  assert "Health ok" in text
  title = "Health of the embeddings, by step"
  _, _, after = text.partition(f"{title} Effective rank")
  assert after.split() and "Good: it rises. 1: all are alike." in after
  for view in "os":  # a curve for each view of each term
    for term in TERMS:
      assert f"{view}_{term}" in after


def test_rows_become_a_table(tmp_path, run):
  path = report.write(tmp_path, runs=[run])
  assert cells(path.read_text())[:4] == [
    ["label", "network", "top-1 %", "top-5 %", "queries"],
    ["motion", "trained", "61.2", "90.0", "1,234"],
    ["untrained", "23.0", "95.5", "1,234"],
    ["scene", "trained", "9.5", "30.0", "1,234"],
  ]


def test_the_best_of_each_label_stands_out(tmp_path, run):
  text = report.write(tmp_path, runs=[run]).read_text()
  assert re.findall(r'<td class="[^"]*best[^>]*>([^<]*)', text) == [
    "61.2",
    "95.5",
  ]


def test_rows_of_other_columns_are_shown_too(tmp_path, make_run):
  rows = [{"name": "a", "top1": 10.0}, {"name": "b", "cycles": 5}]
  page = write(tmp_path, [make_run(result={"rows": rows})])
  assert "name top-1 % cycles a 10.0 – b – 5" in page.text


def test_runs_are_compared(tmp_path, make_run):
  other = json.loads(json.dumps(CONFIG))
  other["method"] |= {"name": "cvrl", "temperature": 0.1}
  runs = [
    make_run("one", metrics_lines(), RESULT, CONFIG),
    make_run("two", metrics_lines(20), None, other),
    make_run("eval", None, {"task": "retrieve", "rows": ROWS}),
    make_run("eval2", None, {"task": "retrieve", "rows": ROWS}),
  ]
  page = write(tmp_path, runs)
  assert "HDC and CVRL pretraining and retrieval with r3d18" in page.text
  assert "20 of 40" in page.text  # the second is still going
  assert "method.temperature 0.07 0.1 – –" in page.text
  assert len(page.of("tr", "differs")) == 2  # method.name and temperature
  assert page.text.count("61.2") == 2
  assert "motion eval trained" in page.text and "eval2 trained" in page.text
  # Only what has curves has a colour.
  assert len(page.of("span", "dot")) == 2


@pytest.mark.parametrize("several", [False, True])
def test_curves_of_trials_are_those_of_their_run(tmp_path, make_run, several):
  """Which has none of its own; one is still at its first half."""
  runs = [make_run("run", config=CONFIG)]
  make_run("run/split1", metrics_lines())
  make_run("run/split2", metrics_lines(20))
  make_run("run/split2/deeper", metrics_lines())
  if several:  # a run that lies in another is no trial of it
    runs.append(make_run("run/other", metrics_lines()))
  page = write(tmp_path, runs)
  assert page.of("svg")
  assert "split1" in page.text and "split2" in page.text
  assert "run/other" not in page.text and "deeper" not in page.text


def test_curves_of_trials_of_one_name_are_told_apart(tmp_path, make_run):
  runs = [make_run(name, config=CONFIG) for name in ("one", "two")]
  for name in ("one", "two"):
    make_run(f"{name}/split1", metrics_lines())
  text = write(tmp_path, runs).text
  assert "one/split1" in text and "two/split1" in text


def test_runs_of_one_name_are_told_apart(tmp_path, make_run):
  runs = [make_run(f"{p}/run", metrics_lines()) for p in ("a", "b")]
  text = write(tmp_path, runs).text
  assert "a/run" in text and "b/run" in text


@pytest.mark.parametrize("missing", ["metrics", "result", "config"])
def test_a_missing_file_is_left_out(tmp_path, make_run, missing):
  files = {"metrics": metrics_lines(), "result": RESULT, "config": CONFIG}
  del files[missing]
  page = write(tmp_path, [make_run(**files)])
  assert bool(page.of("svg")) == (missing != "metrics")
  assert ("TPU" in page.text) == (missing != "result")
  assert ("method.temperature" in page.text) == (missing != "config")


def test_a_run_that_has_only_begun(tmp_path, make_run):
  page = write(tmp_path, [make_run(metrics=[], config=CONFIG)])
  assert "HDC pretraining with r3d18" in page.text
  page = write(tmp_path, [tmp_path / "not-yet"])
  assert "Not-yet" in page.text and "nothing recorded yet" in page.text


def test_everything_is_escaped(tmp_path, make_run):
  config = json.loads(json.dumps(CONFIG))
  config["data"]["path"] = config["checkpoint"] = NASTY
  rows = [{"name": NASTY, "label": NASTY, NASTY: NASTY, "top1": 1.0}]
  line = {"step": 1, "loss": 1.0, f"loss/{NASTY}": 1.0, NASTY: 1.0}
  names = (NASTY.replace("/", "∕"), "b")
  runs = [
    make_run(
      name,
      [json.dumps(line) + "\n"],
      {"rows": rows, "device": NASTY, "task": NASTY, "versions": {"a": NASTY}},
      config,
    )
    for name in names
  ]
  for run in runs:
    add_picture(run, NASTY.replace("/", "∕") + ".png")
    add_predictions(run, [0, 1], [0, 0], names=[NASTY, "b"], label=NASTY)
  page = write(tmp_path, runs)
  assert not page.of("script") and NASTY in page.text


def test_pictures_of_a_run_are_in_its_page(tmp_path, make_run):
  run = make_run()
  for name in ("neighbours-motion.png", "split1/saliency_map.png", "a/b/c.png"):
    (run / name).parent.parent.mkdir(exist_ok=True)
    add_picture(run, name)
  images = write(tmp_path, [run]).of("img")
  assert [image["alt"] for image in images] == [
    "Neighbours · motion",
    "Saliency map · split1",
  ]
  assert images[0]["src"].startswith("data:image/png;base64,iVBOR")


def test_pictures_of_several_runs_are_told_apart(tmp_path, make_run):
  runs = [make_run("one"), make_run("two"), make_run("one/inner")]
  for run in runs:
    add_picture(run, "neighbours.png")
  page = write(tmp_path, runs)
  assert len(page.of("img")) == 3  # that of the inner run is not the outer's
  for run in ("one", "two", "inner"):
    assert f"Neighbours {run}" in page.text


def test_predictions_of_all_splits_are_added_up(tmp_path, make_run):
  run = make_run()
  add_predictions(run, [0, 0, 1], [0, 1, 1], "split1")
  add_predictions(run, [0, 2, 2, 2], [1, 2, 2, 0], "split2")
  add_predictions(run, [0, 1], [0, 1], label="scene", names="xy")
  path = report.write(tmp_path, runs=[run])
  page = Page(path.read_text())
  assert [f["aria-label"] for f in page.of("figure")] == [
    "Confusion matrix by scene",
    "Confusion matrix by class",
  ]
  assert "Of 7 predictions, 57.1 % are right" in page.text
  assert "Of 2 predictions, 100.0 % are right" in page.text
  assert cells(path.read_text())[3:] == [
    ["true", "predicted", "times", "% of true"],
    ["a", "b", "2", "66.7"],
    ["c", "a", "1", "33.3"],
    ["class", "number", "right %"],
    ["a", "3", "33.3"],
    ["c", "3", "66.7"],
    ["b", "1", "100.0"],
  ]


@pytest.mark.parametrize(("count", "hidden"), [(12, False), (13, True)])
def test_many_classes_are_listed_on_demand(tmp_path, make_run, count, hidden):
  run = make_run()
  names = [f"class {i}" for i in range(count)]
  add_predictions(run, range(count), range(count), names=names)
  page = write(tmp_path, [run])
  assert bool(page.of("details")) == hidden
  assert page.text.count(" 100.0") == count + 1  # and that of all


def test_trackers_are_linked(tmp_path, run):
  """Of the run and of its trials; a command is no link."""
  for place, known in (
    (run, {"wandb": {"id": "1", "place": "https://wandb.ai/a/b?c=1&d=2"}}),
    (run / "class", {"trackio": {"id": "2", "place": "trackio show"}}),
  ):
    place.mkdir(exist_ok=True)
    (place / "trackers.json").write_text(json.dumps(known))
  page = write(tmp_path, [run])
  (link,) = page.of("a")
  assert link["href"] == "https://wandb.ai/a/b?c=1&d=2"
  assert "wandb https://wandb.ai/a/b" in page.text
  assert "trackio · class trackio show" in page.text
