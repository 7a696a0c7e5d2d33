"""Reports: what the page of a run, or of several, says and holds."""

import html.parser
import json
import re
import subprocess
import sys

import numpy as np
import pytest
from etils import epath
from PIL import Image

from hdc_jax.errors import DataError
from hdc_jax.report import page as report
from hdc_jax.runs.predictions import Predictions

TERMS = ["spatial5", "temporal5"]
NASTY = "<script>alert('&')</script>\"x"
CONFIG = {
  "task": "pretrain",
  "checkpoint": "",
  "data": {"path": "some/videos", "batch_size": 32},
  "model": {"name": "r3d18"},
  "method": {"name": "hdc", "weights": [0.25, 1.0], "temperature": 0.07},
  "train": {"steps": 40},
}
ROWS = [
  {"name": "motion/trained", "label": "motion", "network": "trained"}
  | {"top1": 61.25, "top5": 90.0, "queries": 1234},
  {"name": "motion/untrained", "label": "motion", "network": "untrained"}
  | {"top1": 23.04, "top5": 95.5, "queries": 1234},
  {"name": "scene/trained", "label": "scene", "network": "trained"}
  | {"top1": 9.5, "top5": 30.0, "queries": 1234},
]
RESULT = {
  "clips_per_second": 1234.56,
  "data_wait": 0.031,
  "device": "8 × TPU v5e",
  "versions": {"jax": "0.10.3", "flax": "0.12.7"},
}


def metrics_lines(steps=40):
  names = [f"{kind}/{t}" for kind in ("loss", "accuracy") for t in TERMS]
  for step in range(10, steps + 1, 10):
    line = {"step": step, "loss": 50 / step, "clips_per_second": 7.0}
    yield json.dumps(line | dict.fromkeys(names, 1 / step)) + "\n"


@pytest.fixture
def make_run(tmp_path):
  """A function that writes a run's directory, of files that are given."""

  def make(name="run", metrics=None, result=None, config=None):
    path = tmp_path / name
    path.mkdir(parents=True)
    if metrics is not None:
      (path / "metrics.jsonl").write_text("".join(metrics))
    for file, value in (("result", result), ("config", config)):
      if value is not None:
        (path / f"{file}.json").write_text(json.dumps(value))
    return path

  return make


@pytest.fixture
def run(make_run):
  return make_run("run", metrics_lines(), RESULT | {"rows": ROWS}, CONFIG)


def add_picture(run, name="picture.png"):
  path = run / name
  path.parent.mkdir(exist_ok=True)
  Image.new("RGB", (4, 4)).save(path)


def add_predictions(
  run, labels, predicted, place="", label="class", names="abc"
):
  count = len(names)
  Predictions(
    ids=np.array([str(i) for i in range(len(labels))]),
    labels=np.array(labels),
    scores=np.eye(count, dtype=np.float32)[predicted],
    names=np.array(list(names)),
    label=label,
  ).save(run / place / "predictions.npz")


def cells(page):
  """The text of the rows of all tables of a page."""
  rows = re.findall(r"<tr[^>]*>.*?</tr>", page, re.S)
  return [re.findall(r">\s*([^<>]+?)\s*</t[dh]>", row) for row in rows]


class _Page(html.parser.HTMLParser):
  """The elements and the text of a page; checks that it is well-formed."""

  VOID = ("meta", "link", "img", "br")

  def __init__(self, text):
    super().__init__()
    self.tags, self.words, self.open = [], [], []
    self.feed(text)
    assert not self.open
    self.text = re.sub(r"\s+", " ", " ".join(self.words))

  def handle_starttag(self, tag, attrs):
    self.tags.append((tag, dict(attrs)))
    if tag not in self.VOID:
      self.open.append(tag)

  def handle_endtag(self, tag):
    assert self.open.pop() == tag

  def handle_data(self, data):
    if self.open and self.open[-1] != "style":
      self.words.append(data)

  def of(self, tag, css=""):
    found = [a for t, a in self.tags if t == tag]
    return [a for a in found if css in a.get("class", "").split() or not css]


def write(tmp_path, runs):
  path = report.write(tmp_path / "out", runs=runs)
  assert path == epath.Path(tmp_path) / "out" / "report.html"
  return _Page(path.read_text())


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
  ]
  assert len(page.of("svg")) == 4
  for term in TERMS:  # a label in both panels
    assert len(re.findall(rf"\b{term}\b", page.text)) == 2


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
  page = _Page(path.read_text())
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


def test_predictions_of_other_classes_are_refused(tmp_path, make_run):
  run = make_run()
  add_predictions(run, [0], [0], "split1")
  add_predictions(run, [0], [0], "split2", names="abd")
  with pytest.raises(DataError, match=r"split2.*'class' are not those of"):
    report.write(tmp_path, runs=[run])


def test_damaged_predictions_are_named(tmp_path, run):
  (run / "predictions.npz").write_bytes(b"junk")
  with pytest.raises(DataError, match=r"run/predictions\.npz holds no"):
    report.write(tmp_path, runs=[run])


def test_the_page_loads_nothing(tmp_path, run):
  add_picture(run)
  add_predictions(run, [0, 1], [0, 0])
  page = write(tmp_path, [run])
  for tag, attributes in page.tags:
    assert tag not in ("script", "iframe", "object", "use", "base")
    for name in attributes.keys() & {"src", "href", "xlink:href", "srcset"}:
      assert attributes[name].startswith("data:")
  text = (tmp_path / "out" / "report.html").read_text()
  text = text.replace('xmlns="http://www.w3.org/2000/svg"', "")
  assert not re.search(r"https?://|url\(|@import", text)


def test_the_same_page_for_the_same_runs(tmp_path, run):
  first = report.write(tmp_path / "a", runs=[run]).read_bytes()
  assert report.write(tmp_path / "b", runs=[run]).read_bytes() == first


def test_an_interrupted_write_leaves_the_old_page(tmp_path, run, monkeypatch):
  path = report.write(tmp_path, runs=[run])
  before = path.read_bytes()
  (run / "result.json").write_text(json.dumps({"device": "another"}))

  def fail(*_):
    raise OSError("killed")

  with monkeypatch.context() as patched:
    patched.setattr(type(path), "replace", fail)
    patched.setattr(type(path), "rename", fail)
    with pytest.raises(OSError, match="killed"):
      report.write(tmp_path, runs=[run])
  assert path.read_bytes() == before
  report.write(tmp_path, runs=[run])
  assert b"another" in path.read_bytes()
  assert [p.name for p in tmp_path.glob("report*")] == ["report.html"]


def test_only_process_0_writes(tmp_path, run, monkeypatch):
  monkeypatch.setattr("jax.process_index", lambda: 1)
  assert not report.write(tmp_path, runs=[run]).exists()


def test_damaged_files_are_named(tmp_path, run):
  (run / "config.json").write_text("{")
  with pytest.raises(DataError, match=r"run: one of .*config.json is not JSON"):
    report.write(tmp_path, runs=[run])


def test_command_line(tmp_path, run):
  add_picture(run, "neighbours-motion.png")
  command = [sys.executable, "-m", "hdc_jax.report", run, "--output=out"]
  done = subprocess.run(
    command, cwd=tmp_path, capture_output=True, text=True, check=True
  )
  assert done.stdout == "out/report.html\n"
  page = _Page((tmp_path / "out" / "report.html").read_text())
  assert "Neighbours · motion" in page.text and page.of("img")


def test_command_line_error(tmp_path, capsys):
  code = report.main([str(tmp_path), f"--output={tmp_path}"])
  error = capsys.readouterr().err
  assert code == DataError.exit_code
  assert error.startswith(f"error: {tmp_path} is not the directory of a run")
  assert error.count("\n") == 1
  assert not (tmp_path / "report.html").exists()
