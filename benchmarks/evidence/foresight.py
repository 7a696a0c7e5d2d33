"""How well the health of a run foresees what its network becomes."""

from collections.abc import Iterator, Mapping, Sequence

from scipy import stats

from benchmarks.evidence.measuring import EARLY, TRAINED, UNTRAINED
from benchmarks.evidence.running import Record
from benchmarks.evidence.studies import STUDIES

# Fewer runs have no ranking to speak of.
FEWEST = 4


def gain(record: Record) -> float:
  """What training added to retrieval, in percentage points.

  Args:
    record: A record of a network that was trained without labels.

  Returns:
    Top-1 accuracy at block 5 minus that of the untrained network, the mean over
    the motion and the scene of the study.
  """
  study = STUDIES[record["study"]]
  differences = [
    record[TRAINED][label]["block5"]["top1"]
    - record[UNTRAINED][label]["block5"]["top1"]
    for label in (study.motion, study.scene)
  ]
  return sum(differences) / len(differences)


def rank_correlations(records: Sequence[Record]) -> Mapping[str, float]:
  """Spearman's correlation of each early measure of health with the gain.

  Args:
    records: At least `FEWEST` records with 'health'.
  """
  gains = [gain(record) for record in records]
  measures = records[0]["health"]["early"]
  return {
    name: float(
      stats.spearmanr(
        [record["health"]["early"][name] for record in records], gains
      ).statistic
    )
    for name in measures
  }


def describe(records: Sequence[Record]) -> Iterator[str]:
  """The section of the page about health; nothing for too few records.

  Args:
    records: All records of all studies.
  """
  watched = [record for record in records if "health" in record]
  if len(watched) < FEWEST:
    return
  yield "## Does the health of a run foresee what it becomes?\n"
  yield (
    f"Spearman's rank correlation, over {len(watched)} runs, of each measure "
    f"of [health](health.md) after {EARLY:.0%} of the steps with what the "
    "training adds to retrieval (top-1 at block 5, the mean over motion and "
    "scene, minus the untrained network):\n"
  )
  yield "| measure | correlation |\n|---|---:|"
  for name, value in rank_correlations(watched).items():
    yield f"| {name} | {value:.2f} |"
  alarmed = [record for record in watched if record["health"]["alarms"]]
  false = [record for record in alarmed if gain(record) > 0]
  yield (
    f"\n{len(alarmed)} of these runs had an alarm. Of those, {len(false)} "
    "ended above the untrained network all the same.\n"
  )
