"""What the records say of the claim: three sentences, and every comparison."""

import collections
import textwrap
from collections.abc import Iterator, Mapping, Sequence

from benchmarks.evidence import summary
from benchmarks.evidence.studies import CLAIMS, STUDIES, Study
from benchmarks.evidence.summary import Figures

DECIDED_BY = "ridge"  # the measure of the claims, at block 5

# The parts of the paper's claim, and the comparisons of `CLAIMS` that each
# implies.
PARTS: Mapping[str, Sequence[tuple[str, str, str]]] = {
  "Spatial contrast learns the scene": (
    ("scene", "sc@5", "untrained"),
    ("scene", "sc@5", "tc@5"),
  ),
  "Temporal contrast learns the motion": (
    ("motion", "tc@5", "untrained"),
    ("motion", "tc@5", "sc@5"),
  ),
  "HDC learns both": (
    ("motion", "hdc", "untrained"),
    ("scene", "hdc", "untrained"),
    ("motion", "hdc", "sc@5"),
    ("scene", "hdc", "tc@5"),
  ),
}
_NAMES = {
  "untrained": "the untrained network",
  "sc@5": "spatial contrast",
  "tc@5": "temporal contrast",
}
_FOUND = {
  summary.HOLDS: "above",
  summary.CONTRADICTED: "below",
  summary.OPEN: "not told apart from",
}
_VERDICTS = {
  summary.HOLDS: "As expected:",
  summary.CONTRADICTED: "Against the expectation:",
  summary.OPEN: "Not decided by these seeds:",
}

# Label, both rows, their difference and the verdict of a claim.
Claim = tuple[str, str, str, str, str]


def claims(study: Study, figures: Figures) -> Iterator[Claim]:
  """Compares the rows of a study as the paper's claim does.

  Args:
    study: The study, which names the two labels.
    figures: Its records.

  Yields:
    The label, the row that is expected to be higher, the other, their
    difference as text, and the verdict, for each claim that has records.
  """
  for claim in CLAIMS:
    if found := _decide(study, figures, claim):
      yield found


def _decide(
  study: Study, figures: Figures, claim: tuple[str, str, str]
) -> Claim | None:
  """Decides one claim; None without two seeds of both rows."""
  side, first, second = claim
  label = getattr(study, side)
  pair = [
    figures.values(row, label, "block5", DECIDED_BY) for row in (first, second)
  ]
  if min(map(len, pair)) < 2:
    return None
  verdict, difference = summary.decide(*pair)
  return label, first, second, difference, verdict


def describe(by_study: Mapping[str, Figures]) -> Iterator[str]:
  """Says what was found: a sentence for each part of the claim, then details.

  Args:
    by_study: The records of each study that has the rows of the claim.
  """
  parts = [_part(name, wanted, by_study) for name, wanted in PARTS.items()]
  if any(parts):
    yield textwrap.fill(" ".join(filter(None, parts)), 80) + "\n"
  for name, figures in by_study.items():
    yield from _comparisons(STUDIES[name], figures)


def _part(
  part: str,
  wanted: Sequence[tuple[str, str, str]],
  by_study: Mapping[str, Figures],
) -> str:
  """A sentence on one part of the claim, over all studies."""
  found = []
  several_sides = len({side for side, *_ in wanted}) > 1
  for claim in wanted:
    places: dict[str, list[str]] = {}
    for name, figures in by_study.items():
      if decided := _decide(STUDIES[name], figures, claim):
        places.setdefault(decided[-1], []).append(STUDIES[name].videos)
    side, _, second = claim
    by = f" by {side}" if several_sides else ""
    found += [
      f"{_FOUND[verdict]} {_NAMES[second]}{by} on {' and '.join(videos)}"
      for verdict, videos in places.items()
    ]
  return f"*{part}*: {'; '.join(found)}." if found else ""


def _comparisons(study: Study, figures: Figures) -> Iterator[str]:
  """Every comparison of one study, by verdict, in a paragraph."""
  verdicts: dict[str, list[str]] = {}
  for label, first, second, _, verdict in claims(study, figures):
    if verdict == summary.CONTRADICTED:
      first, second = second, first
    comparison = f"{first} is above {second} by {label}"
    verdicts.setdefault(verdict, []).append(comparison)
  if not verdicts:
    return
  counts = collections.Counter(row for row, _ in figures.records).values()
  seeds = " to ".join(map(str, sorted({min(counts), max(counts)})))
  text = " ".join(
    f"{words} {'; '.join(verdicts[verdict])}."
    for verdict, words in _VERDICTS.items()
    if verdict in verdicts
  )
  found = f"**{study.title}** (seeds of a row: {seeds}). {text}"
  yield textwrap.fill(found, 80, break_on_hyphens=False) + "\n"
