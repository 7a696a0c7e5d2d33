"""UCF101: 101 actions, with three folds of train and test.

The splits are 'train1', 'test1', … 'test3', by number of the fold. There is no
split 'train', since it would not say which fold is meant.

Soomro, Zamir and Shah, 2012, https://www.crcv.ucf.edu/data/UCF101.php
"""

import dataclasses
import re
from collections.abc import Iterator, Sequence

from hdc_jax.data.datasets import annotations, lists
from hdc_jax.data.datasets.base import (
  Dataset,
  Listing,
  Request,
  find_source_files,
)
from hdc_jax.data.datasets.lists import Line
from hdc_jax.errors import DataError
from hdc_jax.runtime import files

LAYOUT = """\
--source  UCF-101/, from UCF101.rar:
          ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi, …
--splits  ucfTrainTestlist/, from UCF101TrainTestSplits-RecognitionTask.zip:
          classInd.txt, trainlist01.txt, testlist01.txt, … testlist03.txt
The splits are train1, test1, train2, test2, train3 and test3, or those of
the folds whose two lists are in --splits. The group of a clip is the long
video that it was cut out of, as ApplyEyeMakeup_g01.
"""

FOLDS = (1, 2, 3)
_SUBSETS = ("train", "test")

OFFICIAL = {
  "videos": 13320,
  "classes": 101,
  "train1": 9537,
  "test1": 3783,
  "train2": 9586,
  "test2": 3734,
  "train3": 9624,
  "test3": 3696,
}

# A line of trainlist01.txt: ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi 1
_LINE = re.compile(
  r"(?P<video>(?P<label>[^/]+)/.+_g\d+_c\d+\.\w+)(\s+(?P<number>\d+))?"
)


def list_videos(request: Request) -> Listing:
  """Lists UCF101.

  Args:
    request: The options; uses `source`, `splits` and `output`.

  Returns:
    The videos with the label 'class'; classes are numbered in the order of
    classInd.txt, from 0.

  Raises:
    ConfigError: If source or splits were not given.
    DataError: If files are missing or contradict each other, or if train and
      test of a fold share a group (the clips cut from one long video).
  """
  source, splits = request.required_source(), request.required_splits()
  found = find_source_files(source, request.output)
  classes = _read_classes(splits)
  folds = _find_folds(splits)
  lines = [
    line
    for fold in folds
    for subset in _SUBSETS
    for line in _read_list(splits, subset, fold, classes)
  ]
  unmade = {f"{s}{n}" for n in FOLDS if n not in folds for s in _SUBSETS}
  official = {k: count for k, count in OFFICIAL.items() if k not in unmade}
  listing = lists.make_listing(source, found.videos, lines, classes, official)
  listing = lists.require_complete(listing, source)
  lists.check_classes(listing, [f"train{fold}" for fold in folds])
  _check_groups(lines)
  return dataclasses.replace(listing, left_out=found.left_out)


def _find_folds(directory: str) -> list[int]:
  """Returns the folds of which at least one of the two lists is there."""
  names = set(files.list_names(directory))
  folds = [
    fold
    for fold in FOLDS
    if any(f"{subset}list{fold:02d}.txt" in names for subset in _SUBSETS)
  ]
  # Without any list, the error about the first one says what is needed.
  return folds or [1]


def _read_classes(directory: str) -> list[str]:
  """Reads the names of the classes from classInd.txt, numbered from 1."""
  classes = []
  for where, text in annotations.read_lines(directory, "classInd.txt"):
    number, _, name = text.partition(" ")
    name = name.strip()
    if number != str(len(classes) + 1) or not name or name in classes:
      raise DataError(
        f"{where}: {text!r} should be {len(classes) + 1} and the name of a "
        "further class"
      )
    classes.append(name)
  return classes


def _read_list(
  directory: str, subset: str, fold: int, classes: Sequence[str]
) -> Iterator[Line]:
  """Reads trainlist0N.txt or testlist0N.txt; the latter has no class numbers.

  Args:
    directory: The directory given as --splits.
    subset: 'train' or 'test'.
    fold: Number of the fold, from 1.
    classes: Names of the classes, in order of their numbers.

  Yields:
    The lines.
  """
  numbers = {name: str(i) for i, name in enumerate(classes, start=1)}
  for where, match in annotations.match_lines(
    directory,
    f"{subset}list{fold:02d}.txt",
    _LINE,
    "like ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi 1",
  ):
    video, label, number = match.group("video", "label", "number")
    expected = numbers.get(label)
    if expected is None or number not in (None, expected):
      raise DataError(
        f"{where}: classInd.txt, of {len(classes)} classes, has none called "
        + " ".join(filter(None, (number, label)))
      )
    group = video.rpartition("/")[2].rpartition("_c")[0].removeprefix("v_")
    yield Line(video, label, f"{subset}{fold}", fold, where, group)


def _check_groups(lines: Sequence[Line]) -> None:
  """Raises a DataError if train and test of a fold share a group.

  The clips of a group are cut from one long video.
  """
  train = {
    (line.fold, _group(line)): line
    for line in lines
    if line.split.startswith("train")
  }
  shared = [
    f"{trained.video} (in {trained.split}) and {line.video} (in {line.split})"
    for line in lines
    if line.split.startswith("test")
    and (trained := train.get((line.fold, _group(line))))
  ]
  if shared:
    raise DataError(
      "test videos of a group that is also in train: "
      f"{lists.summarize(shared)}; get the official split files"
    )


def _group(line: Line) -> str:
  """Returns the path up to the group: all clips of one long video share it."""
  return line.video.rpartition("_c")[0]


DATASET = Dataset(list_videos, LAYOUT, needs_splits=True)
