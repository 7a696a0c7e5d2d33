"""Pictures of studies: scene against motion, and both over the variants."""

import math
import pathlib
from collections.abc import Mapping

from matplotlib.figure import Figure

from benchmarks.evidence.measuring import UNTRAINED
from benchmarks.evidence.studies import Study
from benchmarks.evidence.summary import Figures
from hdc_jax.evaluate import statistics

_COLOURS = {UNTRAINED: "#767e88"}
# Percentage points that a picture shows beyond its outermost marks.
_MARGIN = 10


def draw(
  path: pathlib.Path, study: Study, figures: Figures, measure: str
) -> None:
  """Draws a mark for each row and an arrow to it from the untrained network.

  Args:
    path: The PNG to write.
    study: The study, which names the two labels.
    figures: Its records.
    measure: The measure of both axes.
  """
  figure = Figure(figsize=(7, 4.5), dpi=130, layout="constrained")
  axes = figure.add_subplot()
  places = {}
  for row in figures.rows:
    sides = [
      list(figures.values(row, label, "block5", measure).values())
      for label in (study.scene, study.motion)
    ]
    if not all(sides):
      continue
    (x, dx), (y, dy) = map(statistics.confidence, sides)
    places[row] = x, y
    several = len(sides[0]) > 1
    axes.errorbar(
      x,
      y,
      dy if several else 0,
      dx if several else 0,
      "o",
      color=_COLOURS.get(row, f"C{len(places)}"),
      label=row,
    )
  for row, place in places.items():
    if row != UNTRAINED:
      arrow = {"arrowstyle": "->", "color": "#767e88", "alpha": 0.5}
      axes.annotate("", place, places[UNTRAINED], arrowprops=arrow)
  chances = figures.chance(study.scene), figures.chance(study.motion)
  axes.axvline(chances[0], ls=":", color="#767e88")
  axes.axhline(chances[1], ls=":", color="#767e88")
  # The intervals of few seeds are wider than the picture should be.
  shown = zip(chances, *places.values(), strict=True)
  for limit, values in zip((axes.set_xlim, axes.set_ylim), shown, strict=True):
    limit(max(min(values) - _MARGIN, 0), min(max(values) + _MARGIN, 100))
  axes.set_xlabel(f"{study.scene}, {measure}, per cent")
  axes.set_ylabel(f"{study.motion}, {measure}, per cent")
  figure.legend(loc="outside right upper")
  figure.savefig(path)


def draw_over(
  path: pathlib.Path,
  study: Study,
  variants: Mapping[str, Figures],
  measure: str,
) -> None:
  """Draws what each row learns of motion and of scene, variant by variant.

  Args:
    path: The PNG to write.
    study: The study, which names the two labels.
    variants: Records by name of the variant, in the order of the axis.
    measure: The measure of both panels.
  """
  figure = Figure(figsize=(7, 5.5), dpi=130, layout="constrained")
  rows = dict.fromkeys(row for f in variants.values() for row in f.rows)
  for panel, label in enumerate((study.motion, study.scene)):
    axes = figure.add_subplot(2, 1, panel + 1)
    for number, row in enumerate(rows):
      found = {
        place: statistics.confidence([*values.values()])
        for place, figures in enumerate(variants.values())
        if (values := figures.values(row, label, "block5", measure))
      }
      # Beside each other, so that intervals do not hide each other.
      shift = 0.1 * (number - (len(rows) - 1) / 2)
      axes.errorbar(
        [place + shift for place in found],
        [mean for mean, _ in found.values()],
        [0 if math.isnan(half) else half for _, half in found.values()],
        fmt="o",
        color=_COLOURS.get(row, f"C{number}"),
        label=row,
      )
    chance = next(iter(variants.values())).chance(label)
    axes.axhline(chance, ls=":", color="#767e88")
    axes.set_ylabel(f"{label}, {measure}, per cent")
    axes.set_xticks(range(len(variants)), variants, rotation=30, ha="right")
  figure.axes[0].legend(ncols=len(rows), fontsize="small", loc="best")
  figure.savefig(path)
