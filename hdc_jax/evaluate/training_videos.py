"""The labels of training videos, and random subsets of these videos."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import grain
import numpy as np

from hdc_jax.data import sources
from hdc_jax.data.clips import filling, order
from hdc_jax.data.labels import subsets
from hdc_jax.data.labels.segments import segments_of
from hdc_jax.data.labels.targets import Target
from hdc_jax.data.options import Loading, Subset
from hdc_jax.data.store.prepared import ForeignRecordError
from hdc_jax.errors import ConfigError, DataError
from hdc_jax.runtime.progress import Progress

# The id of a video, and its classes, sorted; '' and none if it cannot be read.
Labelled = tuple[str, list[int]]
# Assumed size of a record, in bytes: a video of ten seconds has about 200 kB.
_RECORD_BYTES = 1 << 18


@dataclasses.dataclass(frozen=True)
class _Classes(grain.transforms.Map):
  """Reads the ids and classes of videos.

  Attributes:
    source: The videos.
    target: The label or tag whose classes are read.
  """

  source: sources.Source
  target: Target

  # Grain does not annotate what is overridden here.
  # pyrefly: ignore[bad-override]
  def map(self, element: Any) -> Labelled:
    """Reads one video.

    Args:
      element: Record number of the video.

    Returns:
      The id of the video, and the classes of its segments, or those of its tag,
      sorted. '' and no classes if the video cannot be read: those who decode it
      leave it out and count it.

    Raises:
      ForeignRecordError: If the record is of another dataset, as all may be.
    """
    try:
      video = self.source[int(element)]
    except ForeignRecordError:
      raise
    except DataError:
      return "", []
    segments = segments_of(int(element), video, self.target.name)
    classes = (segment.label for segment in segments)
    if self.target.is_tag:
      classes = video.tags[self.target.name]
    return video.id, sorted(set(classes))


def read(
  source: sources.Source,
  records: np.ndarray,
  *,
  target: Target,
  split: str,
  loading: Loading,
) -> list[Labelled]:
  """Reads the ids and the classes of training videos, and checks them.

  Args:
    source: The videos.
    records: Record numbers of the training videos, int64 [N].
    target: The label or tag whose classes are read.
    split: Name of the split that has the videos, for messages.
    loading: Threads that read.

  Returns:
    The id and the classes of each video, in order.

  Raises:
    DataError: If a class has no video, or no name.
  """
  dataset = order.record_numbers(records).map(_Classes(source, target))
  loading = dataclasses.replace(loading, workers=0)
  labelled = []
  with Progress(len(records), "videos", f"labels of {split}") as progress:
    for video in filling.read_ahead(dataset, _RECORD_BYTES, loading):
      labelled.append(video)
      progress.update()
  _check_classes(labelled, target.classes, target.name, split)
  return labelled


def _check_classes(
  labelled: list[Labelled], names: Sequence[str], label: str, split: str
) -> None:
  """Checks that every class has a name and a video.

  Args:
    labelled: The training videos.
    names: Names of the classes, by number.
    label: Name of the label, for the message.
    split: Name of the split, for the message.

  Raises:
    DataError: If a class has no video, or no name.
  """
  for name, classes in labelled:
    unnamed = [number for number in classes if not 0 <= number < len(names)]
    if unnamed:
      raise DataError(
        f"{name}: its class {unnamed[0]} of label {label!r} has no name, "
        f"index.json lists {len(names)}: prepare the dataset again"
      )
  present = {number for _, classes in labelled for number in classes}
  missing = [name for i, name in enumerate(names) if i not in present]
  if missing:
    raise DataError(
      f"split {split!r} has no video of {len(missing)} of the {len(names)} "
      f"classes of {label!r}: {', '.join(missing[:5])}"
      f"{', …' if len(missing) > 5 else ''}; no network can learn them"
    )


def draw(
  labelled: list[Labelled],
  subset: Subset,
  label: str,
  rng: np.random.Generator,
) -> np.ndarray:
  """Draws a subset of the training videos.

  Args:
    labelled: The videos.
    subset: Size of the subset.
    label: Name of the label, for the message.
    rng: Generator to draw from.

  Returns:
    Positions of the videos to train on, int64, increasing; a random subset has
    none that cannot be read.

  Raises:
    ConfigError: If classes change within a video.
    DataError: If a class has too few videos.
  """
  if subset.whole:
    return np.arange(len(labelled))
  for name, classes in labelled:
    if len(classes) > 1:
      raise ConfigError(
        f"config.subset: label {label!r} changes within videos, such as "
        f"{name}; subsets are balanced by labels of whole videos only"
      )
  readable = np.array([i for i, (name, _) in enumerate(labelled) if name])
  labels = np.array([labelled[i][1][0] for i in readable])
  if subset.shots:
    return readable[subsets.by_shots(labels, subset.shots, rng)]
  return readable[subsets.by_fraction(labels, subset.fraction, rng)]
