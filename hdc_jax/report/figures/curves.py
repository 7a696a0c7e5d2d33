"""Draws metrics of runs as curves, in SVG with the colours of its page.

The page's style sheet sets `--ink`, `--soft`, `--rule`, `--paper` and `--hue0`
to `--hue5` for its light and its dark mode, and the curves use these.
"""

import dataclasses
import html
import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence

import markupsafe
import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hdc_jax.report.figures import text, ticks
from hdc_jax.runs.metrics import PROBE

_HUES = 6
# Sizes in pixels: of a panel, which fits a phone (wider pages have several in a
# row), of its least margins, and of the gap between the axes and their numbers.
_WIDTH, _HEIGHT = 360, 224
_LEFT, _RIGHT, _TOP, _BOTTOM = 38, 10, 10, 24
_PAD = 9
_LEADER = 14  # pixels of the line from the end of a curve to its label
_MAX_LABEL = 112  # pixels
_MAX_POINTS = 240  # With more, each point is the mean of several.
# Colours that stand for those of the page until the SVG is complete.
_MARKS = {"ink": "#00fe01", "soft": "#00fe02", "rule": "#00fe03"}

_TITLES = {
  "grad_norm": "Gradient norm",
  "data_wait": "Waiting for data",
  "skipped": "Skipped steps",
  "health/rank": "Effective rank",
  "health/deviation": "Deviation",
  "health/uniformity": "Uniformity",
  "health/alignment": "Alignment",
  "health/positive": "Similarity of positives",
  "health/negative": "Similarity of hardest negatives",
  "health/nearest": "Own key is nearest",
}
# What the curves of a metric mean, and which values are good.
_NOTES = {
  "health/rank": "In how many directions embeddings differ. Good: it rises. "
  "1: all are alike.",
  "health/deviation": "How far the embeddings of videos differ. Good: it rises "
  "towards 1. 0: all are alike.",
  "health/uniformity": "How evenly embeddings are spread. Good: it falls "
  "towards -4. 0: all are alike.",
  "health/alignment": "Squared distance of positives. Good: it falls while "
  "uniformity falls too.",
  "health/positive": "Cosine of two views of a video. Good: above that of "
  "hardest negatives.",
  "health/negative": "Cosine with the most similar view of another video. "
  "Good: it falls. 1: all are alike.",
  "health/nearest": "Videos whose own view is the nearest. Good: it rises "
  "towards 100 %. Chance: 1 / batch.",
}
_FIRST = ("loss", "loss/", "accuracy/")  # The other panels follow these.
# Metrics that are shown as percentages.
_FRACTIONS = ("accuracy", "data_wait", "health/nearest")

# The lines of metrics.jsonl of each run, by the name of the run.
Metrics = Mapping[str, Sequence[Mapping[str, float]]]


@dataclasses.dataclass(frozen=True)
class Panel:
  """One drawing of curves.

  Attributes:
    title: Name of the metric.
    run: Name of the run, if each of several runs has a panel of its own; else
      ''.
    last: Last value of the curve with its unit, if there is only one; or what
      the panel's lines are; else ''.
    drawing: The curves, an `<svg>` element, or a PNG.
    group: Name of the group of metrics, such as 'health' for `health/rank/…`;
      '' for metrics of the training itself.
    note: What the curves mean and which values are good; '' for nothing.
  """

  title: str
  run: str
  last: str
  drawing: markupsafe.Markup | bytes
  group: str
  note: str


@dataclasses.dataclass(frozen=True)
class Series:
  """One curve.

  Attributes:
    label: Text at the end of the curve; '' for none.
    colour: Colour in CSS.
    steps: float [N], increasing, N ≥ 1.
    values: float [N], finite.
    dotted: Whether the curve is a thin dotted line, to compare others with.
  """

  label: str
  colour: str
  steps: np.ndarray
  values: np.ndarray
  dotted: bool = False


# A function of the curves, the lowest and the highest value, and a unit.
Draw = Callable[
  [Sequence[Series], tuple[float, float], str], markupsafe.Markup | bytes
]


def make_figure(
  series: Sequence[Series], limits: tuple[float, float], unit: str
) -> tuple[Figure, dict[str, str]]:
  """Makes the figure of some curves, with marks for colours and labels.

  Args:
    series: The curves, at least one.
    limits: Lowest and highest value on the vertical axis, which extends to the
      next round numbers.
    unit: Unit after the numbers of the vertical axis; '' for none.

  Returns:
    The figure, and what each mark in it stands for: a colour in CSS, or a
    label.
  """
  labels = [text.shorten(s.label, _MAX_LABEL) for s in series]
  longest = max(map(text.width, labels))
  last = max(1, *(s.steps[-1] for s in series))
  levels = ticks.around(*limits)
  numbers = [number + unit for number in ticks.numbers(levels)]
  steps = ticks.steps(last)
  # The margins have room for the numbers: half the last step is to the right.
  beyond = text.width(ticks.numbers(steps)[-1]) / 2
  beyond -= (last - steps[-1]) / last * _WIDTH / 2
  right = max(_RIGHT, beyond, longest and longest + _LEADER + 2)
  first = max(_LEFT, max(map(text.width, numbers)) + _PAD + 1)
  left, width = first / _WIDTH, (_WIDTH - first - right) / _WIDTH
  bottom, height = _BOTTOM / _HEIGHT, (_HEIGHT - _BOTTOM - _TOP) / _HEIGHT
  # Matplotlib draws marks, which `_for_page` replaces by colours and labels.
  filled = {mark: f"var(--{name})" for name, mark in _MARKS.items()}
  with matplotlib.rc_context({"font.size": text.FONT}):
    # At 72 dots per inch, a point is a pixel.
    figure = Figure((_WIDTH / 72, _HEIGHT / 72), dpi=72)
    axes = figure.add_axes((left, bottom, width, height))
    _style(axes)
    axes.set_yticks(levels, numbers)
    axes.set_ylim(levels[0], levels[-1])
    axes.set_xticks(steps, ticks.numbers(steps))
    axes.set_xlim(0, last)
    for i, each in enumerate(series):
      filled[f"#ff{i:04x}"] = each.colour
      filled[f"[label {i}]"] = labels[i]
      _plot(axes, each, f"#ff{i:04x}")
    if longest:
      _label_ends(
        axes,
        {
          i: (s.steps[-1], s.values[-1])
          for i, s in enumerate(series)
          if s.label
        },
      )
  return figure, filled


def draw(
  series: Sequence[Series], limits: tuple[float, float], unit: str
) -> markupsafe.Markup:
  """Draws curves; the arguments are those of `make_figure`.

  Returns:
    An `<svg>` element to put into a page.
  """
  figure, filled = make_figure(series, limits, unit)
  svg = io.StringIO()
  options = {"svg.fonttype": "none", "font.size": text.FONT}
  with matplotlib.rc_context(options):
    figure.savefig(svg, format="svg")
  escaped = {mark: html.escape(value) for mark, value in filled.items()}
  return _for_page(svg.getvalue(), escaped)


def run_colours(metrics: Metrics) -> dict[str, str]:
  """Assigns a colour to each run.

  Args:
    metrics: Metrics of the runs.

  Returns:
    The CSS colour of each run by its name; empty if there is only one run.
  """
  # The hues of the terms count from 0; these begin at another.
  return {r: _hue(i + 2) for i, r in enumerate(metrics) if len(metrics) > 1}


def panels(metrics: Metrics, draw: Draw = draw) -> Iterator[Panel]:
  """Draws all metrics: a panel for each, with a curve for each run.

  Metrics with names such as 'loss/spatial3' share a panel 'loss/', of which
  each run has its own, with a curve for each of these metrics.

  Args:
    metrics: Metrics of the runs.
    draw: Draws the curves of a panel.

  Yields:
    The panels, in the order of the page.
  """
  names = dict.fromkeys(n for run in metrics.values() for m in run for n in m)
  names.pop("step", None)
  # The panels of the online probe are made by `probes`.
  names = [n for n in names if not n.startswith(f"{PROBE}/")]
  hues = run_colours(metrics)
  for kind in dict.fromkeys(_FIRST) | dict.fromkeys(map(_kind, names)):
    terms = [n.removeprefix(kind) for n in names if _kind(n) == kind]
    shades = related_colours(terms)
    series_by_run: dict[str, list[Series]] = {}
    for run, lines in metrics.items():
      for term in terms:
        steps, values = points(lines, kind + term)
        if len(steps):
          # Without terms, all runs share one panel, here under the name ''.
          label = term or (run if hues else "")
          colour = shades[term] if term else hues.get(run, "var(--ink)")
          series = Series(label, colour, steps, values)
          series_by_run.setdefault(run if term else "", []).append(series)
    if series_by_run:
      yield from _draw_alike(kind, series_by_run, draw)


def _kind(name: str) -> str:
  """The kind of a metric: 'loss/' for 'loss/spatial3', 'loss' for 'loss'."""
  return "".join(name.rpartition("/")[:2]) or name


def points(
  lines: Sequence[Mapping[str, float]], name: str
) -> tuple[np.ndarray, np.ndarray]:
  """The steps at which a metric is finite, and its values there."""
  points = [(m["step"], m[name]) for m in lines if name in m]
  steps, values = np.array(points, float).reshape(-1, 2).T
  values = values * (100 if name.startswith(_FRACTIONS) else 1)
  finite = np.isfinite(values)
  return steps[finite], values[finite]


def _hue(i: int) -> str:
  """The CSS colour of the i-th hue of the page; hues repeat."""
  return f"var(--hue{i % _HUES})"


def related_colours(names: Sequence[str]) -> dict[str, str]:
  """Assigns a colour to each name; one hue to those that differ by number.

  So 'spatial3' and 'spatial5' are a pale and a full blue, and 'temporal5' is a
  full orange.
  """
  families = {}
  for name in names:
    families.setdefault(name.rstrip("0123456789"), []).append(name)
  colours = {}
  for i, family in enumerate(families.values()):
    family.sort(key=lambda name: (len(name), name))  # 5 before 10
    shares = np.linspace(100, 55, len(family))
    for name, share in zip(reversed(family), shares, strict=True):
      mixed = f"{_hue(i)} {share:.0f}%, var(--paper)"
      colours[name] = f"color-mix(in oklab, {mixed})"
  return colours


def _draw_alike(
  kind: str, series_by_run: Mapping[str, Sequence[Series]], draw: Draw
) -> Iterator[Panel]:
  """Draws the panels of one kind of metric, of all runs, to the same scale."""
  values = np.concatenate(
    [s.values for series in series_by_run.values() for s in series]
  )
  base = kind.rstrip("/")
  # The axis of a loss need not begin at 0, which has no meaning for it.
  low = values.min() if base == "loss" else min(0, values.min())
  unit = "%" if base in _FRACTIONS else ""
  title = _TITLES.get(base, base.replace("_", " ").capitalize())
  group = base.rpartition("/")[0]
  if kind != base and not group:
    title += " by term"
  for run, series in series_by_run.items():
    last = ticks.number(float(f"{series[0].values[-1]:.3g}")) + unit
    drawn = draw(series, (low, values.max()), unit)
    yield Panel(
      title,
      run if len(series_by_run) > 1 else "",
      last if len(series) == 1 else "",
      drawn,
      group,
      _NOTES.get(base, ""),
    )


def _style(axes: Axes) -> None:
  """Leaves only light horizontal rules at round numbers on the axes."""
  axes.figure.patch.set_visible(False)
  axes.patch.set_visible(False)
  axes.spines[:].set_visible(False)
  axes.tick_params(length=0, labelcolor=_MARKS["soft"], pad=_PAD)
  axes.grid(axis="y", color=_MARKS["rule"], linewidth=1, clip_on=False)


def _plot(axes: Axes, series: Series, colour: str) -> None:
  """Draws a line through at most `_MAX_POINTS` means of neighbouring points."""
  count = min(len(series.steps), _MAX_POINTS)
  steps, values = (
    np.array([points.mean() for points in np.array_split(x, count)])
    for x in (series.steps, series.values)
  )
  if count == 1:  # The round ends of a line of length 0 make a dot.
    steps, values = steps.repeat(2), values.repeat(2)
  axes.plot(
    steps,
    values,
    color=colour,
    linewidth=1 if series.dotted else 1.75 if count > 1 else 5,
    dashes=(2, 3) if series.dotted else (),
    solid_capstyle="round",
    solid_joinstyle="round",
    clip_on=False,
    zorder=3,
  )


def _label_ends(axes: Axes, ends: Mapping[int, tuple[float, float]]) -> None:
  """Draws a mark for each label, moved apart where curves end close together.

  Args:
    axes: Axes of the panel.
    ends: Last step and value of each curve that has a label, by its number.
  """
  right, _ = axes.transAxes.transform((1, 0))
  starts, heights = axes.transData.transform([*ends.values()]).T
  order = np.argsort(heights, kind="stable")
  places = heights[order]
  for i in range(1, len(places)):
    places[i] = max(places[i], places[i - 1] + text.LINE)
  places[-1] = min(places[-1], _HEIGHT - _TOP)
  for i in reversed(range(len(places) - 1)):
    places[i] = min(places[i], places[i + 1] - text.LINE)
  numbers = [*ends]
  for row, place in zip(order, places, strict=True):
    i = numbers[row]
    axes.plot(
      [starts[row] + 3, right + 3, right + _LEADER - 3],
      [heights[row], heights[row], place],
      color=f"#ff{i:04x}",
      linewidth=0.75,
      transform=None,
      clip_on=False,
    )
    axes.annotate(
      f"[label {i}]",
      (right + _LEADER, place),
      xycoords="figure pixels",
      verticalalignment="center_baseline",
      color=_MARKS["ink"],
      annotation_clip=False,
    )


def _for_page(svg: str, filled: dict[str, str]) -> markupsafe.Markup:
  """Prepares Matplotlib's SVG to be part of a page.

  Args:
    svg: What Matplotlib writes. Definitions, ids, fonts and the size are
      removed, since they would affect other drawings on the page.
    filled: The replacement of each mark.
  """
  svg = svg[svg.index("<svg") :]
  svg = re.sub(
    r"<defs>.*?</defs>|<metadata>.*?</metadata>", "", svg, flags=re.S
  )
  svg = re.sub(r' id="[^"]*"| font-family: [^;]*;', "", svg)
  svg = re.sub(r' (width|height)="[\d.]+pt"| xmlns:xlink="[^"]*"', "", svg)
  svg = re.sub(r"\s*\n\s*", " ", svg).strip()
  marks = "|".join(map(re.escape, filled))
  return markupsafe.Markup(re.sub(marks, lambda mark: filled[mark[0]], svg))
