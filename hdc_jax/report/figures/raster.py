"""The figures of a report as PNG, for applications that show no SVG."""

import functools
import importlib.resources
import io
import re
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from matplotlib import colors
from matplotlib.figure import Figure

from hdc_jax.report.figures import confusion, curves, probes, text
from hdc_jax.report.figures.curves import Series
from hdc_jax.runs.predictions import Predictions
from hdc_jax.runs.read import Run
from hdc_jax.runtime import files

_VARIABLE = re.compile(r"var\(--(\w+)\)")
# The share of a colour that is mixed with the paper, see `related_colours`.
_MIXED = re.compile(r"color-mix\(in oklab, var\(--(\w+)\) (\d+)%")


def pictures(run: Run) -> dict[str, bytes]:
  """The curves, confusion matrices and pictures of a run.

  Args:
    run: The run.

  Returns:
    The content of each PNG, by title.
  """
  metrics = {run.name: run.metrics} if run.metrics else {}
  drawn = [*probes.panels(metrics, draw), *curves.panels(metrics, draw)]
  found: dict[str, Any] = {
    f"report/{panel.title}": panel.drawing for panel in drawn
  }
  for label, splits in run.predictions.items():
    for matrix, names in _confusions(splits):
      found[f"report/Confusion by {label}"] = confusion_png(matrix, names)
  return found | {title: files.read(path) for title, path in run.pictures}


def draw(
  series: Sequence[Series], limits: tuple[float, float], unit: str
) -> bytes:
  """Draws curves; the arguments are those of `curves.make_figure`.

  Returns:
    A PNG, in the colours of light pages.
  """
  figure, filled = curves.make_figure(series, limits, unit)
  for artist in figure.findobj():
    _fill(artist, filled)
  return _png(figure)


def confusion_png(matrix: np.ndarray, names: Sequence[str]) -> bytes:
  """Draws a confusion matrix as the shares of each true class.

  Args:
    matrix: int [C, C], number of videos by true class (rows) and predicted
      class (columns).
    names: Names of the C classes.

  Returns:
    A PNG.
  """
  shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
  side = 2 + min(0.3 * len(names), 8)  # inches
  figure = Figure((side, side), dpi=144, layout="constrained")
  axes = figure.add_subplot(xlabel="predicted", ylabel="true")
  axes.imshow(np.sqrt(shares), cmap="Blues", vmin=0, vmax=1)
  if len(names) <= confusion.MAX_NAMES:
    short = [text.shorten(name, confusion.MAX_NAME) for name in names]
    axes.set_xticks(range(len(names)), short, rotation=90)
    axes.set_yticks(range(len(names)), short)
  return _png(figure)


def _confusions(splits: Sequence[object]) -> Iterator[tuple[np.ndarray, list]]:
  """Yields the matrix summed over folds, and the names; none of a tag."""
  found = [each for each in splits if isinstance(each, Predictions)]
  if found:
    matrix = np.sum([each.confusion() for each in found], axis=0)
    yield matrix, found[0].names.tolist()


def _fill(artist: Any, filled: dict[str, str]) -> None:
  """Replaces the marks of an artist by what they stand for."""
  if hasattr(artist, "get_text") and artist.get_text() in filled:
    artist.set_text(filled[artist.get_text()])
  if hasattr(artist, "get_color"):
    mark = colors.to_hex(artist.get_color())
    if mark in filled:
      artist.set_color(_colour(filled[mark]))


def _colour(css: str) -> np.ndarray:
  """The colour of a light page, float [3], by its name in CSS."""
  page = _page_colours()
  if mixed := _MIXED.match(css):
    share = int(mixed[2]) / 100
    return share * page[mixed[1]] + (1 - share) * page["paper"]
  named = _VARIABLE.fullmatch(css)
  return page[named[1]] if named else np.array(colors.to_rgb(css))


@functools.cache
def _page_colours() -> dict[str, np.ndarray]:
  """The colours of light pages, by the names of the style sheet."""
  folder = importlib.resources.files("hdc_jax.report") / "templates"
  light = (folder / "report.css").read_text().partition("}")[0]
  found = re.findall(r"--(\w+): (#\w+);", light)
  return {name: np.array(colors.to_rgb(value)) for name, value in found}


def _png(figure: Figure) -> bytes:
  figure.patch.set(visible=True, facecolor="white")
  png = io.BytesIO()
  with warnings.catch_warnings():
    # Names in a script for which Matplotlib has no font are boxes.
    warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)
    figure.savefig(png, format="png")
  return png.getvalue()
