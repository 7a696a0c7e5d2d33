"""The panels of the online probe: curves by endpoint, and lines behind them."""

import re
from xml.etree import ElementTree

import pytest

from hdc_jax.report.figures import curves, probes

BLOCKS = [f"block{n}" for n in range(1, 6)]


def lines(labels=("motion", "scene"), steps=(0, 10, 20)):
  return [
    {"step": step}
    | {f"probe/{label}/chance": 12.5 for label in labels}
    | {
      f"probe/{label}/{block}/{classifier}": 20.0 + step + 3 * i
      for label in labels
      for i, block in enumerate(BLOCKS)
      for classifier in ("knn", "ridge")
    }
    for step in steps
  ]


def drawn(panel):
  """Height of the first and last point of each line, by colour and dots."""
  found = {}
  for path in ElementTree.fromstring(panel.drawing).iter():
    points = re.findall(r"[ML] \S+ (\S+)", path.get("d", ""))
    style = path.get("style", "")
    colour = re.search(r"stroke: (color-mix[^;]*|var\(--soft\))", style)
    if len(points) > 1 and colour and "stroke-width: 0.75" not in style:
      key = colour[1], "dasharray" in style
      found[key] = float(points[0]), float(points[-1])
  return found


def test_a_panel_for_each_label_and_classifier():
  panels = list(probes.panels({"run": lines()}))
  assert [panel.title for panel in panels] == [
    "motion: kNN",
    "motion: ridge",
    "scene: kNN",
    "scene: ridge",
  ]
  for panel in panels:
    words = [
      e.text for e in ElementTree.fromstring(panel.drawing).iter() if e.text
    ]
    assert {*BLOCKS, "chance"} <= {*words}


def test_the_untrained_network_and_chance_are_level_dotted_lines():
  panel = next(probes.panels({"run": lines()}))
  found = drawn(panel)
  solid = {key[0]: ends for key, ends in found.items() if not key[1]}
  assert len(solid) == 5
  for colour, (first, last) in solid.items():
    assert last < first  # The height of the picture points down.
    assert found[colour, True] == pytest.approx((first, first))
  first, last = found["var(--soft)", True]
  assert first == last > max(first for first, _ in solid.values())


def test_runs_have_panels_of_their_own_to_one_scale():
  panels = list(
    probes.panels({"a": lines(("motion",)), "b": lines(("motion",), (0, 60))})
  )
  assert [(panel.title[-3:], panel.run) for panel in panels] == [
    ("kNN", "a"),
    ("kNN", "b"),
    ("dge", "a"),
    ("dge", "b"),
  ]
  first, second = (drawn(panel) for panel in panels[:2])
  chance = "var(--soft)", True
  assert first[chance] == second[chance]


def test_a_run_without_the_probe_has_no_such_panels():
  assert not list(probes.panels({"run": [{"step": 1, "loss": 2.0}]}))
  assert not list(curves.panels({"run": lines()}))


def test_a_label_may_have_a_slash():
  titles = [p.title for p in probes.panels({"run": lines(("a/b",))})]
  assert titles[0] == "a/b: kNN"
