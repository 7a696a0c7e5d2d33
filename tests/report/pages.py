"""Directories of runs, and the pages that show them."""

import html.parser
import json
import re

import numpy as np
from etils import epath
from PIL import Image

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
  "health": "ok",
  "data_wait": 0.031,
  "device": "8 × TPU v5e",
  "versions": {"jax": "0.10.3", "flax": "0.12.7"},
}


def metrics_lines(steps=40):
  names = [f"{kind}/{t}" for kind in ("loss", "accuracy") for t in TERMS]
  health = [f"health/rank/{view}_{t}" for view in "os" for t in TERMS]
  for step in range(10, steps + 1, 10):
    line = {"step": step, "loss": 50 / step, "clips_per_second": 7.0}
    line |= dict.fromkeys(health, step / 10)
    yield json.dumps(line | dict.fromkeys(names, 1 / step)) + "\n"


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


class Page(html.parser.HTMLParser):
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
  """Writes the page of some runs, and reads it."""
  path = report.write(tmp_path / "out", runs=runs)
  assert path == epath.Path(tmp_path) / "out" / "report.html"
  return Page(path.read_text())
