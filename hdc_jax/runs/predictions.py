"""The scores of a classifier for each segment of a video, and their file."""

import dataclasses
import io

import jax
import numpy as np
from etils import epath

from hdc_jax.errors import DataError
from hdc_jax.runtime import files

PREDICTIONS = "predictions.npz"


@dataclasses.dataclass(frozen=True)
class Predictions:
  """Scores of the classes of a label, for videos.

  Attributes:
    ids: Ids of the videos, str [N], N ≥ 1.
    labels: True class of each video, int [N].
    scores: Score of each class, float32 [N, C]; higher is more likely.
    names: Names of the classes, str [C].
    label: Name of the label that has these classes, such as 'class'.

  Raises:
    DataError: If the arrays do not fit together, or a score is NaN.
  """

  ids: np.ndarray
  labels: np.ndarray
  scores: np.ndarray
  names: np.ndarray
  label: str

  def __post_init__(self) -> None:
    n, c = len(self.ids), len(self.names)
    for field, kind, shape in (
      ("ids", np.str_, (n,)),
      ("labels", np.integer, (n,)),
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
    outside = (self.labels < 0) | (self.labels >= c)
    for problem, rows in (
      (f"a label that is none of the {c} classes", outside),
      ("a score that is NaN", np.isnan(self.scores).any(axis=1)),
    ):
      if rows.any():
        raise DataError(f"{self.ids[rows.argmax()]} has {problem}")

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
  def load(cls, path: epath.PathLike) -> "Predictions":
    """Reads a file that `save` wrote.

    Args:
      path: Path of the file.

    Raises:
      DataError: If the file is missing or damaged.
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
    try:
      return cls(**arrays | {"label": str(arrays["label"])})
    except DataError as error:
      raise DataError(f"{path}: {error}") from error

  def top(self, k: int) -> float:
    """Percentage of the videos whose class is among the `k` highest scores.

    Of equal scores, that of the true class counts as the lowest.

    Args:
      k: Number of classes.
    """
    true = np.take_along_axis(self.scores, self.labels[:, None], axis=1)
    return 100.0 * float(np.mean((self.scores >= true).sum(axis=1) <= k))

  def accuracies(self) -> dict[str, float]:
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
