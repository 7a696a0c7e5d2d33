"""Writes docs/evidence.md: every figure in it comes from a record."""

import pathlib
import textwrap
from collections.abc import Iterator, Mapping, Sequence

from benchmarks.evidence import findings, foresight, pictures, running, summary
from benchmarks.evidence.findings import DECIDED_BY
from benchmarks.evidence.measuring import MEASURES, UNTRAINED
from benchmarks.evidence.studies import STUDIES, Study
from benchmarks.evidence.summary import Figures

_ENDPOINTS = tuple(f"block{n}" for n in range(1, 6))

_INTRODUCTION = """\
<!-- Written by `python -m benchmarks.evidence write`. -->

# Does it decouple?

HDC's claim is that spatial contrast learns the scene, temporal contrast the
motion, and both together learn both. This page says what was found when it was
tried on networks that a CPU can train, on videos made for it and on real ones.
"""
_METHOD = """\
In the rows, `sc` is HDC's spatial contrast, `tc` its temporal contrast, and
after `@` are the blocks of the network that are contrasted, with even weights;
`hdc` has both at blocks 3, 4 and 5, with the weights of the paper, 0.25, 0.5
and 1. `cvrl` and `dsm` are those [methods](methods.md). Each row is pretrained
without labels with `configs/tiny.py` and the fields below, in equal steps of
equal batches, and measured on videos that it has not seen. Measures are per
cent at the end of block 5, averaged over space and time: `top1` (the nearest
neighbour has the class), `knn` (the votes of 20 neighbours) and `ridge` (a
linear classifier in closed form). After ± is half the width of
the 95 % interval over seeds. Networks trained with labels say what this network
could reach; their `top1` is that of their own classifier.
"""


def write(page: str, records: str) -> None:
  """Writes the page, and a picture of each study beside the records.

  Args:
    page: Path of the page.
    records: Directory of the records, see `running.Runs`.
  """
  path, root = pathlib.Path(page), pathlib.Path(records)
  by_study = {name: running.read(root, name) for name in STUDIES}
  unvaried = {
    name: Figures.of(found, name, "") for name, found in by_study.items()
  }
  found = findings.describe(unvaried)
  parts = [_INTRODUCTION, *found, "## How\n", _METHOD]
  for name, study in STUDIES.items():
    parts += _study(name, study, by_study[name], path.parent, root)
  parts += foresight.describe([r for found in by_study.values() for r in found])
  path.write_text("\n".join(parts), encoding="utf-8")


def _study(
  name: str,
  study: Study,
  records: Sequence[running.Record],
  docs: pathlib.Path,
  root: pathlib.Path,
) -> Iterator[str]:
  """The section of a study; nothing if it has no records."""
  variants = {
    variant: figures
    for variant in study.variants
    if (figures := Figures.of(records, name, variant)).records
  }
  if not variants:
    return
  yield f"## {study.title}\n"
  yield textwrap.fill(f"*Hypothesis*: {study.hypothesis}", 80) + "\n"
  used = [r for f in variants.values() for r in f.records.values()]
  if variants.keys() == {""}:
    yield from _one(name, study, variants[""], docs, root)
  else:
    yield from _several(name, study, variants, docs, root)
  fields = ", ".join(f"`{k}={v}`" for k, v in study.changes.items())
  yield f"\nFields: {fields or 'those of the file'}."
  yield f"Measured on {summary.devices(used)}.\n"
  yield f"```sh\npython -m benchmarks.evidence run --studies {name}\n```\n"


def _one(
  name: str,
  study: Study,
  figures: Figures,
  docs: pathlib.Path,
  root: pathlib.Path,
) -> Iterator[str]:
  """A study without variants: every row, the claims, blocks, neighbours."""
  yield from _table(study, figures)
  picture = root / f"{name}.png"
  pictures.draw(picture, study, figures, DECIDED_BY)
  link = picture.relative_to(docs).as_posix()
  yield f"![{study.scene} and {study.motion} of each row]({link})\n"
  compared = list(findings.claims(study, figures))
  if compared:
    yield "| by | expected | difference | |\n|---|---|---:|---|"
  for label, first, second, difference, verdict in compared:
    yield f"| {label} | {first} > {second} | {difference} | {verdict} |"
  yield f"\nBy block, `{DECIDED_BY}` of {study.motion} / {study.scene}:\n"
  yield from _blocks(study, figures)
  yield from _sheets(name, study, docs, root)


def _several(
  name: str,
  study: Study,
  variants: Mapping[str, Figures],
  docs: pathlib.Path,
  root: pathlib.Path,
) -> Iterator[str]:
  """A study with variants: a picture over all of them, and their tables."""
  picture = root / f"{name}.png"
  pictures.draw_over(picture, study, variants, DECIDED_BY)
  link = picture.relative_to(docs).as_posix()
  yield f"![{study.motion} and {study.scene} by variant]({link})\n"
  for variant, figures in variants.items():
    yield f"### {variant}\n"
    yield from _table(study, figures)


def _table(study: Study, figures: Figures) -> Iterator[str]:
  """The rows and all measures of both labels at block 5."""
  columns = [
    (label, measure)
    for label in (study.motion, study.scene)
    for measure in MEASURES
  ]
  yield "| | seeds | " + " | ".join(f"{a}: {b}" for a, b in columns) + " |"
  yield "|---|---:|" + "---:|" * len(columns)
  for row in figures.rows:
    values = [figures.values(row, a, "block5", b) for a, b in columns]
    cells = [summary.cell(v) for v in values]
    yield f"| {row} | {max(map(len, values))} | " + " | ".join(cells) + " |"
  chances = [figures.chance(a) if b == "top1" else None for a, b in columns]
  cells = ["–" if c is None else f"{c:.1f}" for c in chances]
  yield "| chance | | " + " | ".join(cells) + " |\n"


def _sheets(
  name: str, study: Study, docs: pathlib.Path, root: pathlib.Path
) -> Iterator[str]:
  """The pictures of neighbours that were drawn."""
  for row in study.pictured:
    path = running.sheet_path(root, name, row)
    if path.exists():
      link = path.relative_to(docs).as_posix()
      yield (
        f"*{row}*: queries on the left, then the videos that are most similar "
        f"at block 5. A green frame has the {study.motion} of the query.\n\n"
        f"![Nearest neighbours of {row}]({link})\n"
      )


def _blocks(study: Study, figures: Figures) -> Iterator[str]:
  """The linear measure of both labels at every block."""
  yield "| | " + " | ".join(_ENDPOINTS) + " |"
  yield "|---|" + "---:|" * len(_ENDPOINTS)
  for row in figures.rows:
    cells = [
      " / ".join(
        summary.cell(figures.values(row, label, endpoint, DECIDED_BY))
        for label in (study.motion, study.scene)
      )
      for endpoint in _ENDPOINTS
    ]
    if row == UNTRAINED or any(c != "– / –" for c in cells):
      yield f"| {row} | " + " | ".join(cells) + " |"
  yield ""
