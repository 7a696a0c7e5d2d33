"""Curves: what is drawn where, in which colour."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from hdc_jax.report.figures import curves, text

TERMS = [f"{c}{b}" for b in (3, 4, 5) for c in ("spatial", "temporal")]


def log(names, steps=20, value=lambda step, i: 5 / (step + i)):
  return [
    {"step": step} | {name: value(step, i) for i, name in enumerate(names)}
    for step in range(1, steps + 1)
  ]


def draw(metrics):
  return {(p.title, p.run): p for p in curves.panels(metrics)}


def curves_of(panel, at_least=10):
  """Points [N, 2] of each curve, by colour; leaders and rules are short."""
  found = {}
  for path in ElementTree.fromstring(panel.drawing).iter():
    points = re.findall(r"[ML] (\S+) (\S+)", path.get("d", ""))
    if len(points) >= at_least:
      colour = re.search(r"stroke: (.*?);", path.get("style"))[1]
      found[colour] = np.array(points, float)
  return found


def texts(panel):
  return [
    e.text for e in ElementTree.fromstring(panel.drawing).iter() if e.text
  ]


def test_a_labelled_curve_for_each_term():
  panels = draw({"run": log([f"loss/{t}" for t in TERMS])})
  assert list(panels) == [("Loss by term", "")]
  panel = panels["Loss by term", ""]
  assert len(curves_of(panel)) == 6
  assert {*TERMS} <= {*texts(panel)}


def test_curves_go_where_the_numbers_go():
  lines = [{"step": s, "loss": v} for s, v in ((0, 4), (50, 2), (100, 3))]
  panel = draw({"run": lines})["Loss", ""]
  ((x, y),) = (c.T for c in curves_of(panel, 3).values())
  assert x[1] - x[0] == pytest.approx(x[2] - x[1])
  assert y[1] - y[0] == pytest.approx(2 * (y[1] - y[2]))  # y points down
  assert panel.last == "3"


def test_losses_come_first_then_accuracies_then_what_else_there_is():
  names = ["novel", "data_wait", "accuracy/a", "loss/a", "loss"]
  assert [title for title, _ in draw({"run": log(names)})] == [
    "Loss",
    "Loss by term",
    "Accuracy by term",
    "Novel",
    "Waiting for data",
  ]


def test_every_measure_of_health_has_a_panel_and_a_note():
  names = [
    f"health/{measure}/{view}_{term}"
    for measure in ("deviation", "nearest", "rank")
    for term in TERMS
    for view in ("o", term[0])
  ]
  panels = draw({"run": log(["loss", *names], value=lambda step, i: 0.5)})
  assert [title for title, _ in panels] == [
    "Loss",
    "Deviation",
    "Own key is nearest",
    "Effective rank",
  ]
  first, *measures = panels.values()
  assert (first.group, first.note) == ("", "")
  for panel in measures:
    assert panel.group == "health"
    assert "Good: " in panel.note
    assert len(curves_of(panel)) == 12
  assert "60%" in texts(panels["Own key is nearest", ""])


def test_several_runs_share_a_panel_but_for_their_terms():
  long, short = log(["loss", "loss/a"], 30), log(["loss", "loss/a"], 15)
  panels = draw({"one": long, "two": short})
  assert list(panels) == [
    ("Loss", ""),
    ("Loss by term", "one"),
    ("Loss by term", "two"),
  ]
  assert {"one", "two"} <= {*texts(panels["Loss", ""])}
  assert list(curves_of(panels["Loss", ""])) == list(
    curves.run_colours({"one": long, "two": short}).values()
  )


def test_terms_of_several_runs_are_drawn_to_one_scale():
  low, high = (
    [{"step": s, "loss/a": v + s / 10} for s in (1, 2)] for v in (1, 90)
  )
  panels = draw({"low": low, "high": high})
  ticks = [
    [t for t in texts(panel) if t.isdigit() and int(t) > 2]
    for panel in panels.values()
  ]
  assert ticks[0] == ticks[1] and ticks[0]


RANGES = {
  "flat": (9727.0, 9727.0),
  "nearly flat": (9727.0, 9727.0001),
  "narrow": (97271.2, 97272.2),
  "small": (0.0, 0.0015),
  "tiny": (0.0, 1e-7),
  "negative": (-13456.0, -12345.0),
  "long": (123456.0, 123456.7),
  "nothing but 0": (0.0, 0.0),
}


@pytest.mark.parametrize("name", ["loss", "accuracy", "grad_norm"])
@pytest.mark.parametrize("case", RANGES)
@pytest.mark.parametrize("last", [1, 7, 100, 100_000])
def test_numbers_of_axes_are_distinct_and_whole(case, name, last):
  """No number twice, none beyond the edges, in a browser's widest font."""
  low, high = RANGES[case]
  lines = [{"step": 0, name: low}, {"step": last, name: high}]
  (panel,) = curves.panels({"run": lines})
  drawing = ElementTree.fromstring(panel.drawing)
  _, _, width, _ = map(float, drawing.get("viewBox").split())
  numbers = {"end": [], "middle": []}
  for element in drawing.iter():
    if element.text and element.text.strip():
      anchor = re.search(r"text-anchor: (\w+)", element.get("style"))[1]
      left = float(element.get("x"))
      left -= text.width(element.text) / (1 if anchor == "end" else 2)
      assert 0 <= left <= left + text.width(element.text) <= width
      numbers[anchor].append(element.text)
  for axis in numbers.values():
    assert len(set(axis)) == len(axis) >= 2
    assert max(map(len, axis)) <= 12


def test_terms_of_one_family_share_a_hue_and_the_last_is_strongest():
  colours = curves.related_colours(["s3", "t3", "s10", "t10", "single"])
  hues = {n: re.search(r"--hue\d", c)[0] for n, c in colours.items()}
  assert hues["s3"] == hues["s10"] != hues["t3"] == hues["t10"]
  assert hues["single"] not in (hues["s3"], hues["t3"])
  assert "100%" in colours["s10"] and "100%" not in colours["s3"]
  assert "100%" in colours["single"]
  assert len(set(colours.values())) == 5


@pytest.mark.parametrize("start", [0, 1, 2])  # to end at top, middle, bottom
def test_labels_of_curves_that_end_together_do_not_overlap(start):
  names = [f"loss/{t}" for t in TERMS]
  lines = log(names, value=lambda step, i: 1 + i * 1e-3)
  lines[0] |= {names[0]: start, names[1]: 2 if start == 1 else start}
  lines[1] |= {names[0]: 0 if start == 1 else 1}
  panel = draw({"run": lines})
  svg = ElementTree.fromstring(panel["Loss by term", ""].drawing)
  heights = sorted(float(e.get("y")) for e in svg.iter() if e.text in TERMS)
  assert len(heights) == 6
  assert min(np.diff(heights)) >= text.LINE - 0.01
  assert heights[0] > 0 and heights[-1] < curves._HEIGHT


def test_long_runs_are_averaged_and_keep_their_ends():
  rng = np.random.default_rng(0)
  lines = log(["loss"], 20_000, lambda *_: rng.normal())
  panel = draw({"run": lines})["Loss", ""]
  assert len(panel.drawing) < 20_000
  ((points),) = curves_of(panel).values()
  assert len(points) <= curves._MAX_POINTS
  assert np.ptp(points[:, 0]) > 0.98 * (
    curves._WIDTH - curves._LEFT - curves._RIGHT
  )


@pytest.mark.parametrize(
  "lines",
  [
    [{"step": 0, "loss": 1.0}],
    [{"step": 7, "loss": 0.0}],
    [{"step": s, "loss": 2.5} for s in (1, 2)],
    [{"step": s, "loss": v} for s, v in enumerate([1, float("nan"), 2])],
    [{"step": s, "loss": v} for s, v in enumerate([1, float("inf"), 2])],
  ],
)
def test_odd_values_are_drawn(lines):
  panel = draw({"run": lines})["Loss", ""]
  assert len(curves_of(panel, 2)) >= 1
  assert "nan" not in panel.drawing and "inf" not in panel.drawing


def test_nothing_to_draw():
  nan = float("nan")
  assert draw({}) == draw({"run": [{"step": 1}]}) == {}
  assert draw({"run": [{"step": 1, "loss": nan}]}) == {}


@pytest.mark.filterwarnings("error")
def test_labels_are_shown_as_they_are():
  name = "<b>$x$ 漢[label 1]"
  panel = draw({name: log(["loss"]), "b": log(["loss"])})["Loss", ""]
  assert name in texts(panel)


def test_svgs_can_stand_together_on_a_page():
  panels = draw({"run": log(["loss", "loss/a", "loss/b"])})
  for panel in panels.values():
    assert panel.drawing.startswith("<svg") and panel.drawing.endswith("</svg>")
    assert "id=" not in panel.drawing and "<style" not in panel.drawing
    # All colours are the page's, for light and for dark.
    assert not re.search(r"#[0-9a-f]{3,8}|font-family", panel.drawing)


def test_same_drawing_for_same_numbers_and_no_trace_in_matplotlib():
  import matplotlib

  before = dict(matplotlib.rcParams)
  metrics = {"run": log(["loss", "loss/a"])}
  assert list(curves.panels(metrics)) == list(curves.panels(metrics))
  assert dict(matplotlib.rcParams) == before
