"""The figures of a report as PNG."""

import io

import numpy as np
from PIL import Image

from hdc_jax.report.figures import curves, raster
from hdc_jax.runs import predictions, read

LINES = [
  {"step": step, "loss": 4 / step, "loss/spatial3": 3.0, "loss/spatial5": 1.0}
  for step in (1, 50, 100)
]


def pixels(png):
  return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"), int)


def test_curves_are_as_on_a_light_page():
  """Of the same size, and in its colours; no mark is left."""
  panels = {p.title: p for p in curves.panels({"a": LINES}, raster.draw)}
  terms = pixels(panels["Loss by term"].drawing)
  assert terms.shape[:2] == (224, 360)
  full, paper = np.array((0x25, 0x63, 0xD9)), np.array((255, 255, 255))
  pale = np.round(0.55 * full + 0.45 * paper)
  rule = np.array((0xE3, 0xE6, 0xEA))
  # The edges of lines are mixed with the paper.
  for colour, mixed in ((full, 30), (pale, 20), (paper, 0), (rule, 0)):
    found = np.abs(terms - colour).max(axis=-1) <= mixed
    assert found.sum() > 100, colour
  reds = (terms[..., 0] > 250) & (terms[..., 1] < 40)
  greens = (terms[..., 1] > 250) & (terms[..., 0] < 40)
  assert not reds.any() and not greens.any()


def test_a_confusion_matrix_is_darkest_where_most_videos_are():
  matrix = np.array([[9, 1, 0], [0, 10, 0], [0, 5, 5]])
  picture = pixels(raster.confusion_png(matrix, ["jump", "run", "走る"]))
  assert (picture < 80).any() and (picture == 255).any()


def test_a_run_has_its_figures_and_pictures(tmp_path):
  (tmp_path / "metrics.jsonl").write_text('{"step": 1, "loss": 2.0}\n')
  trial = tmp_path / "class"
  trial.mkdir()
  predictions.Predictions(
    np.array(["a", "b"]),
    np.array([0, 1]),
    np.eye(2, dtype=np.float32),
    np.array(["jump", "run"]),
    "class",
  ).save(trial / predictions.PREDICTIONS)
  Image.new("L", (3, 2)).save(trial / "saliency.png")
  (run,) = read.read([tmp_path])
  found = raster.pictures(run)
  assert [*found] == [
    "report/Loss",
    "report/Confusion by class",
    "Saliency · class",
  ]
  assert found["Saliency · class"] == (trial / "saliency.png").read_bytes()
