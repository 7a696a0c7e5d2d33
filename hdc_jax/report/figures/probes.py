"""Draws what the online probe measured: for each label, a curve by endpoint."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from hdc_jax.report.figures import curves
from hdc_jax.report.figures.curves import Draw, Metrics, Panel, Series
from hdc_jax.runs.metrics import PROBE

_TITLES = {"knn": "kNN", "ridge": "ridge"}
_CHANCE = "chance"
_SOFT = "var(--soft)"


def panels(metrics: Metrics, draw: Draw = curves.draw) -> Iterator[Panel]:
  """Draws the online probe: a panel for each label, classifier and run.

  A panel has a curve for each endpoint, each with a dotted line at the value of
  the untrained network, and a grey dotted line at the value of chance. The
  panels of a label have one scale.

  Args:
    metrics: Metrics of the runs.
    draw: Draws the curves of a panel.

  Yields:
    The panels: those of the first label, of the second, and so on.
  """
  names = dict.fromkeys(n for run in metrics.values() for m in run for n in m)
  labels = [
    name.removeprefix(f"{PROBE}/").removesuffix(f"/{_CHANCE}")
    for name in names
    if name.startswith(f"{PROBE}/") and name.endswith(f"/{_CHANCE}")
  ]
  for label in labels:
    start = f"{PROBE}/{label}"
    drawn: dict[tuple[str, str], list[Series]] = {}
    for run, lines in metrics.items():
      for classifier in _TITLES:
        series = _series(lines, start, classifier)
        if series:
          drawn[classifier, run] = series
    values = [s.values.max() for series in drawn.values() for s in series]
    for (classifier, run), series in sorted(drawn.items()):
      yield Panel(
        f"{label}: {_TITLES[classifier]}",
        run if len(metrics) > 1 else "",
        "",
        draw(series, (0.0, max(values)), "%"),
        group=PROBE,
        note="Dotted: the untrained network, and chance.",
      )


def _series(
  lines: Sequence[Mapping[str, float]], start: str, classifier: str
) -> list[Series]:
  """The curves of a panel, and the dotted lines behind them.

  Args:
    lines: Metrics of the run.
    start: Beginning of the names of the metrics of a label.
    classifier: Name of the classifier.
  """
  names = dict.fromkeys(n for line in lines for n in line)
  endpoints = [
    name.removeprefix(f"{start}/").removesuffix(f"/{classifier}")
    for name in names
    if name.startswith(f"{start}/") and name.endswith(f"/{classifier}")
  ]
  colours = curves.related_colours(endpoints)
  found, behind = [], []
  for endpoint in endpoints:
    points = curves.points(lines, f"{start}/{endpoint}/{classifier}")
    found.append(Series(endpoint, colours[endpoint], *points))
    if points[0][0] == 0:  # The run was probed from the first step on.
      behind.append(_level(points, colours[endpoint]))
  if found:
    chance = curves.points(lines, f"{start}/{_CHANCE}")
    behind.append(_level(chance, _SOFT, _CHANCE))
  return [*behind, *found]


def _level(
  points: tuple[np.ndarray, np.ndarray], colour: str, label: str = ""
) -> Series:
  """A dotted line at the first value of a curve, as long as the curve."""
  steps, values = points
  ends = steps[[0, -1]]
  return Series(label, colour, ends, values[[0, 0]], dotted=True)
