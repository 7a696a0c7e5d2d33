"""The scores of a classifier for each segment of a video, and their file."""

import abc
import dataclasses
import io
from typing import Any, ClassVar, Self

import jax
import numpy as np
from etils import epath

from hdc_jax.errors import DataError
from hdc_jax.runtime import files

PREDICTIONS = "predictions.npz"


@dataclasses.dataclass(frozen=True)
class ClassScores(abc.ABC):
  """Scores of the classes of a label or a tag, for videos.

  Attributes:
    ids: Ids of the videos, str [N], N ≥ 1.
    labels: The true classes, see `Predictions` and `TagPredictions`.
    scores: Score of each class, float32 [N, C]; higher is more likely.
    names: Names of the classes, str [C].
    label: Name of the label or tag that has these classes, such as 'class'.

  Raises:
    DataError: If the arrays do not fit together, or a score is NaN.
  """

  ids: np.ndarray
  labels: np.ndarray
  scores: np.ndarray
  names: np.ndarray
  label: str

  # Type of `labels`, and whether it has a column for each class.
  _truth: ClassVar[tuple[type, bool]]

  def __post_init__(self) -> None:
    n, c = len(self.ids), len(self.names)
    truth, by_class = self._truth
    for field, kind, shape in (
      ("ids", np.str_, (n,)),
      ("labels", truth, (n, c) if by_class else (n,)),
      ("scores", np.float32, (n, c)),
      ("names", np.str_, (c,)),
    ):
      array = getattr(self, field)
      if array.shape != shape or not np.issubdtype(array.dtype, kind):
        raise DataError(
          f"{field} are {array.dtype} {list(array.shape)}: with {n} ids and "
          f"{c} names, give {kind.__name__} {list(shape)}"
        )
    if not n:
      raise DataError("there are no predictions: give at least one")
    self._refuse("a score that is NaN", np.isnan(self.scores.max(axis=1)))

  def _refuse(self, problem: str, rows: np.ndarray) -> None:
    """Raises DataError for the first of the rows with a problem, bool [N]."""
    if rows.any():
      raise DataError(f"{self.ids[rows.argmax()]} has {problem}")

  @abc.abstractmethod
  def measures(self) -> dict[str, float]:
    """How good the scores are, in percent, by name of the measure."""

  def save(self, path: epath.PathLike) -> None:
    """Writes a file, whole or not at all, on process 0.

    Args:
      path: Path of the file. By convention, it is `PREDICTIONS` in the run's
        directory, or one level below it for each of several trials.
    """
    if jax.process_index():
      return
    file = io.BytesIO()
    np.savez_compressed(file, **dataclasses.asdict(self))
    files.write(path, file.getvalue())

  @classmethod
  def load(cls, path: epath.PathLike) -> Self:
    """Reads a file that `save` wrote.

    Args:
      path: Path of the file.

    Returns:
      Predictions of a label, or of a tag.

    Raises:
      DataError: If the file is missing or damaged, or if it has predictions of
        another kind than this class.
    """
    path = epath.Path(path)
    if not files.exists(path):
      raise DataError(f"{path}: there is no such file")
    file = io.BytesIO(files.read(path))
    try:
      with np.load(file, allow_pickle=False) as archive:
        arrays = {f.name: archive[f.name] for f in dataclasses.fields(cls)}
    except Exception as error:  # zipfile's, zlib's, tokenize's and others
      raise DataError(
        f"{path} holds no predictions, or is damaged ({error}): remove it"
      ) from error
    kind: Any = TagPredictions if arrays["labels"].ndim == 2 else Predictions
    if not issubclass(kind, cls):
      raise DataError(f"{path} holds {kind.__name__}, not {cls.__name__}")
    try:
      return kind(**arrays | {"label": str(arrays["label"])})
    except DataError as error:
      raise DataError(f"{path}: {error}") from error


@dataclasses.dataclass(frozen=True)
class Predictions(ClassScores):
  """Scores of the classes of a label, of which each video has one.

  Attributes:
    labels: True class of each video, int [N].
  """

  _truth = (np.integer, False)

  def __post_init__(self) -> None:
    super().__post_init__()
    count = len(self.names)
    outside = (self.labels < 0) | (self.labels >= count)
    self._refuse(f"a label that is none of the {count} classes", outside)

  def top(self, k: int) -> float:
    """Percentage of the videos whose class is among the `k` highest scores.

    Of equal scores, that of the true class counts as the lowest.

    Args:
      k: Number of classes.
    """
    true = np.take_along_axis(self.scores, self.labels[:, None], axis=1)
    return 100.0 * float(np.mean((self.scores >= true).sum(axis=1) <= k))

  def measures(self) -> dict[str, float]:
    """The accuracies 'top1' and 'top5', in percent."""
    return {f"top{k}": self.top(k) for k in (1, 5)}

  def confusion(self) -> np.ndarray:
    """Counts the videos by true and predicted class.

    Of equal scores, that of the true class counts as the lowest, so that the
    diagonal holds the videos that `top(1)` counts.

    Returns:
      int64 [C, C]: rows are true classes, columns are predicted ones.
    """
    videos, count = np.arange(len(self.labels)), len(self.names)
    others = self.scores.copy()
    others[videos, self.labels] = -np.inf
    rival = others.argmax(axis=1)
    correct = self.scores[videos, self.labels] > others[videos, rival]
    predicted = np.where(correct, self.labels, rival)
    pairs = self.labels.astype(np.int64) * count + predicted
    return np.bincount(pairs, minlength=count**2).reshape(count, count)


@dataclasses.dataclass(frozen=True)
class TagPredictions(ClassScores):
  """Scores of the classes of a tag, of which a video shows any number.

  Attributes:
    labels: Whether each video shows each class, bool [N, C].
  """

  _truth = (np.bool_, True)

  def measures(self) -> dict[str, float]:
    """The mean average precision 'map', in percent, see `mean_precision`."""
    return {"map": 100.0 * mean_precision(self.labels, self.scores)}


def mean_precision(shown: np.ndarray, scores: np.ndarray) -> float:
  """The mean average precision (mAP) over the classes that a video shows.

  The average precision of a class is Σ (R_n - R_{n-1})·P_n, with the precision
  P_n and the recall R_n of the videos whose score is at least the n-th highest
  different score. It is that of scikit-learn's `average_precision_score`, whose
  macro average is the mean over classes.

  Args:
    shown: Whether each video shows each class, bool [N, C].
    scores: Score of each class, float [N, C].

  Returns:
    The mean over the classes that at least one video shows.

  Raises:
    DataError: If no video shows any class.

  Example:
    >>> shown = np.array([[1, 0], [0, 0], [1, 0]], bool)
    >>> print(mean_precision(shown, np.array([[3, 0], [2, 0], [1, 0]])))
    0.8333333333333333
  """
  precisions = []
  for positive, score in zip(shown.T, scores.T, strict=True):
    if not positive.any():
      continue
    order = np.argsort(-score, kind="stable")
    ranked, hits = score[order], np.cumsum(positive[order])
    # The last rank of each different score.
    last = np.flatnonzero(np.append(np.diff(ranked) != 0, True))
    recalls = hits[last] / hits[-1]
    steps = np.diff(recalls, prepend=0.0)
    precisions.append(float(np.sum(steps * hits[last] / (last + 1))))
  if not precisions:
    raise DataError(
      "no tested video shows any of the classes: test on another split, or "
      "choose other config.data.labels"
    )
  return float(np.mean(precisions))
