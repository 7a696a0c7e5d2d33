"""Tells from the metrics of a run whether it learns: its health in a word.

The rules look at what `health` has measured and at the loss, at every logged
step, and need no labels. They find runs that cannot succeed. A run that is 'ok'
can still learn something other than what its user wants: that needs labels.

Healthy runs begin near to collapse: in the first steps the embeddings of all
videos come close to each other, and the loss is that of chance, until it falls.
So the bounds are below what healthy runs show, and a run has time to leave
chance.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import ClassVar

from hdc_jax import health

OK, COLLAPSING, NOT_LEARNING = "ok", "collapsing", "not learning"

# Below this deviation, the similarities of different videos differ from 1 by
# about 0.0004, which even a temperature of 0.07 turns into less than 1 % of the
# loss.
LEAST_DEVIATION = 0.02
# Embeddings that are all alike or opposite have a rank of 1.
LEAST_RANK = 1.1
# A loss above this share of the loss of equal embeddings, log B for InfoNCE
# with B keys, is that of chance.
CHANCE = 0.98
# With a deviation above the first, embeddings are apart: their similarities
# differ by some 0.05. At temperatures up to 1, this moves the loss by more than
# the second, as a share of the loss of equal embeddings.
APART, FLAT = 0.2, 0.004
# Positives above this similarity are alike. If other videos are even more
# similar, a loss without negatives has pulled everything together. (With
# negatives, the loss itself tells; healthy runs pass through such a stage.)
TOGETHER = 0.9
# Steps before a run is judged: before, its network may be as it began.
BEGINNING = 10
# Steps after which a run must have learned something: this share of the run,
# and at least and at most so many. The longest warm-up of a recipe has 1,170.
SHARE, PATIENCE = 0.2, (30, 2000)
# Logged steps in succession at which a finding holds before it counts.
SUCCESSION = 2

_ADVICE = {
  "alike": "all embeddings of {what} are alike (deviation {value:.2g}): lower "
  "config.optim.lr; if they are so from the first steps on, look at the views "
  "with task=preview, and see that the loss has negatives",
  "line": "the embeddings of {what} differ in one direction only (rank "
  "{value:.2g}): lower config.optim.lr",
  "together": "other videos are as similar to the anchors of {what} as their "
  "own positives ({value:.2g}): lower config.optim.lr, and see that the loss "
  "has negatives",
  "chance": "no term has learned anything yet: the loss of {what} is "
  "{value:.1%} of that of equal embeddings: change config.optim.lr, or look at "
  "the views with task=preview",
  "flat": "the embeddings differ, but the loss of {what} is {value:.1%} of "
  "that of equal embeddings: lower config.method.temperature",
}
_WORDS = {
  "alike": COLLAPSING,
  "line": COLLAPSING,
  "together": COLLAPSING,
  "chance": NOT_LEARNING,
  "flat": NOT_LEARNING,
}


@dataclasses.dataclass(frozen=True)
class Finding:
  """Something that is wrong with a run.

  Attributes:
    kind: What is wrong, a key of `words`.
    what: The embedding or the term with the worst value.
    value: The value that is out of bounds.
  """

  kind: str
  what: str
  value: float

  words: ClassVar[Mapping[str, str]] = _WORDS

  @property
  def word(self) -> str:
    """`COLLAPSING` or `NOT_LEARNING`."""
    return self.words[self.kind]

  @property
  def advice(self) -> str:
    """What is wrong, and which fields to change, in one line."""
    return _ADVICE[self.kind].format(what=self.what, value=self.value)


class Monitor:
  """Judges a run by the lines of its metrics, in their order.

  Attributes:
    word: The health of the run: `OK`, `COLLAPSING` or `NOT_LEARNING`; empty as
      long as no embeddings were measured.
  """

  def __init__(
    self,
    chance: Mapping[str, float],
    steps: int,
    history: Iterable[Mapping[str, float]] = (),
  ) -> None:
    """Reads what an interrupted run has logged.

    Args:
      chance: The loss of equal embeddings by name of the term, see
        `Objective.chance`.
      steps: Length of the run.
      history: The lines that are logged already.
    """
    self.word = ""
    self._chance = chance
    least, most = PATIENCE
    self._patience = min(max(least, SHARE * steps), most)
    # Logged steps in succession at which each kind of finding held.
    self._held: dict[str, int] = {}
    self._reported: set[str] = set()
    for line in history:
      self.add(line)

  @property
  def summary(self) -> dict[str, str]:
    """The health of the run, if embeddings have been measured."""
    return {"health": self.word} if self.word else {}

  def add(self, line: Mapping[str, float]) -> list[Finding]:
    """Judges a logged step.

    Args:
      line: Its number, `step`, and its metrics by name.

    Returns:
      The finding that gives the word, if no earlier call has returned one of
      this word; else nothing.
    """
    if not any(name.startswith(health.PREFIX) for name in line):
      return []
    found = {f.kind: f for f in self._find(line)}
    self._held = {kind: self._held.get(kind, 0) + 1 for kind in found}
    certain = [f for k, f in found.items() if self._held[k] >= SUCCESSION]
    self.word = certain[0].word if certain else OK
    new = [f for f in certain[:1] if f.word not in self._reported]
    self._reported |= {f.word for f in new}
    return new

  def _find(self, line: Mapping[str, float]) -> Iterator[Finding]:
    """Yields what is wrong at a step, at most one finding of each kind."""
    if line["step"] < BEGINNING:
      return
    deviation, most_alike = _least(_of(line, "deviation"))
    rank, flattest = _least(_of(line, "rank"))
    if deviation < LEAST_DEVIATION:
      yield Finding("alike", most_alike, deviation)
    elif rank < LEAST_RANK:
      yield Finding("line", flattest, rank)
    late = line["step"] >= self._patience
    positive, negative = _of(line, "positive"), _of(line, "negative")
    attracted = [term for term, loss in self._chance.items() if loss <= 0]
    for term in attracted if late else ():
      if TOGETHER < positive[term] < negative[term]:
        yield Finding("together", term, positive[term])
        break
    losses = {
      term: line[f"loss/{term}"] / chance
      for term, chance in self._chance.items()
      if chance > 0
    }
    if not losses:
      return
    loss, best = _least(losses)
    if deviation > APART and all(abs(x - 1) < FLAT for x in losses.values()):
      yield Finding("flat", best, loss)
    if late and loss > CHANCE:
      yield Finding("chance", best, loss)


def _least(values: Mapping[str, float]) -> tuple[float, str]:
  """The least of some values, and its name."""
  return min((value, name) for name, value in values.items())


def _of(line: Mapping[str, float], measure: str) -> dict[str, float]:
  """The values of a measure, by name of the embedding or the term."""
  prefix = f"{health.PREFIX}{measure}/"
  return {
    name.removeprefix(prefix): value
    for name, value in line.items()
    if name.startswith(prefix)
  }
