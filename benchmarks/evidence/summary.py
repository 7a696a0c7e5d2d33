"""Figures of records: means with intervals, and which claims they decide."""

import collections
import dataclasses
import math
from collections.abc import Mapping, Sequence

from benchmarks.evidence.measuring import UNTRAINED
from benchmarks.evidence.running import Record, settings
from benchmarks.evidence.studies import STUDIES
from hdc_jax.evaluate import statistics

HOLDS, CONTRADICTED, OPEN = "holds", "contradicted", "not decided"

# Values by seed.
Values = Mapping[int, float]


@dataclasses.dataclass(frozen=True)
class Figures:
  """The records of one variant of a study, as they are now defined.

  Attributes:
    records: By row and seed; of several of one row and seed, the last.
  """

  records: Mapping[tuple[str, int], Record]

  @classmethod
  def of(cls, records: Sequence[Record], study: str, variant: str) -> "Figures":
    """Those of the records whose settings are those of the study now."""
    return cls(
      {
        (record["row"], record["seed"]): record
        for record in records
        if record["variant"] == variant
        and record["row"] in STUDIES[study].rows
        and record["settings"] == settings(study, variant, record["row"])
      }
    )

  @property
  def rows(self) -> list[str]:
    """The rows that have records, and the untrained network."""
    rows = list(dict.fromkeys(row for row, _ in self.records))
    return [UNTRAINED, *rows] if rows else []

  def values(self, row: str, label: str, endpoint: str, measure: str) -> Values:
    """The values of a row by seed; none of what was not measured.

    The untrained network of a seed is measured beside every row, which makes
    no difference: the first row counts.
    """
    found: dict[int, float] = {}
    for (name, seed), record in self.records.items():
      network = UNTRAINED if row == UNTRAINED else "trained"
      if row not in (name, UNTRAINED) or network not in record:
        continue
      measured = record[network].get(label, {})
      value = measured.get(endpoint, measured.get("", {})).get(measure)
      if value is not None:
        found.setdefault(seed, value)
    return found

  def chance(self, label: str) -> float:
    """What the nearest neighbour shows by chance, in per cent."""
    for record in self.records.values():
      if label in record.get("chance", {}):
        return record["chance"][label][""]["top1"]
    return math.nan


def cell(values: Values) -> str:
  """The mean, the half-width of its 95 % interval, and the number of seeds."""
  if not values:
    return "–"
  mean, half_width = statistics.confidence(list(values.values()))
  return f"{mean:.1f}" + (f" ± {half_width:.1f}" if len(values) > 1 else "")


def decide(first: Values, second: Values) -> tuple[str, str]:
  """Whether the first is above the second, by the seeds that both have.

  Args:
    first: Values of the row that is expected to be higher.
    second: Values of the other.

  Returns:
    `HOLDS` or `CONTRADICTED` if the 95 % interval of the mean difference of
    equal seeds excludes 0, else `OPEN`; and the difference as text.
  """
  seeds = sorted(first.keys() & second.keys())
  differences = {seed: first[seed] - second[seed] for seed in seeds}
  if len(seeds) < 2:
    return OPEN, cell(differences)
  mean, half_width = statistics.confidence(list(differences.values()))
  if abs(mean) <= half_width:
    return OPEN, cell(differences)
  return HOLDS if mean > 0 else CONTRADICTED, cell(differences)


def devices(records: Sequence[Record]) -> str:
  """The devices and versions of records, with how many have each."""
  counts = collections.Counter(
    ", ".join(
      [record["device"], *(f"{n} {v}" for n, v in record["versions"].items())]
    )
    for record in records
  )
  return "; ".join(f"{text} ({n} runs)" for text, n in counts.items())
