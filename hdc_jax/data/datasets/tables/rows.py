"""The rows of a file that lists videos, whatever its format."""

import dataclasses
import os
import re
from collections.abc import Mapping, Sequence

from hdc_jax.data.datasets.folder import SPLITS


@dataclasses.dataclass(frozen=True)
class Row:
  """A video, as one row of a file lists it.

  Attributes:
    path: Path of the video file; what the row calls the video if it gives none.
    where: Name of the file and number of the line, for messages.
    splits: Names of the splits of the video.
    labels: For each label, the name of its class.
    tags: For each tag, the names of its classes.
    group: Name of its group; '' for none.
    start: Where the video begins in its file, in seconds.
    end: Where it ends in its file, in seconds; None for the end of the file.
    stems: Names of files, without folder and extension. If there are any, the
      video is the file of the first of them that exists in some folder.
  """

  path: str
  where: str
  splits: Sequence[str]
  labels: Mapping[str, str] = dataclasses.field(default_factory=dict)
  tags: Mapping[str, Sequence[str]] = dataclasses.field(default_factory=dict)
  group: str = ""
  start: float = 0.0
  end: float | None = None
  stems: Sequence[str] = ()


def canonical_split(name: str) -> str:
  """The name that a split has here.

  Args:
    name: The name that a table gives it, in any case.

  Returns:
    'train', 'val' or 'test' for their usual names, any other name as it is.

  Example:
    >>> canonical_split("Validation"), canonical_split("extra")
    ('val', 'extra')
  """
  return SPLITS.get(name.lower(), name)


_SPLIT = re.compile(rf"({'|'.join(SPLITS)})(?:list)?0*(\d*)")
_FOLD = re.compile(r"split_?0*(\d+)")


def split_of_file(path: str) -> str:
  """The split whose videos a file lists, by its name.

  Args:
    path: Path of the file.

  Returns:
    The split with the number of its fold, if there is one; 'train' if the name
    says nothing.

  Example:
    >>> split_of_file("lists/kinetics400_val_list_videos.txt")
    'val'
    >>> split_of_file("ucf101_train_split_2_videos.txt")
    'train2'
  """
  stem = os.path.splitext(os.path.basename(path))[0].lower()
  words = re.split(r"[^a-z0-9]+", stem)
  found = next(filter(None, map(_SPLIT.fullmatch, words)), None)
  if not found:
    return "train"
  fold = _FOLD.search(stem)
  return SPLITS[found[1]] + (found[2] or (fold[1] if fold else ""))
