"""HMDB51: 51 actions, with three folds of train and test.

The splits are 'train1', 'test1', … 'test3', by number of the fold. There is no
split 'train', since it would not say which fold is meant. A video that a fold
does not use is in the dataset, but in no split of that fold.

Kuehne, Jhuang, Garrote, Poggio and Serre, 2011,
https://serre-lab.clps.brown.edu/resource/hmdb-a-large-human-motion-database
"""

import dataclasses
import re
from collections.abc import Iterator

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
--source  folder of the classes, each from its .rar in hmdb51_org.rar:
          brush_hair/April_09_brush_hair_u_nm_np1_ba_goo_0.avi, …
--splits  testTrainMulti_7030_splits/, from test_train_splits.rar:
          brush_hair_test_split1.txt, … wave_test_split3.txt
The splits are train1, test1, train2, test2, train3 and test3, or those of
the folds whose files are in --splits. The group of a clip is the film that
it was cut out of: the part of its name before the action, as April_09.
"""

FOLDS = (1, 2, 3)

OFFICIAL = {
  "videos": 6766,
  "classes": 51,
  "train1": 3570,
  "test1": 1530,
  "train2": 3570,
  "test2": 1530,
  "train3": 3570,
  "test3": 1530,
}

_FILE = re.compile(r"(?P<label>[^.].*)_test_split(?P<fold>[123])\.txt")
# Names hold blanks, brackets and more, so the line is read from its end.
_LINE = re.compile(r"(?P<name>.+\.\w+)\s+(?P<use>[012])")
_SUBSETS = {"0": "", "1": "train", "2": "test"}


def list_videos(request: Request) -> Listing:
  """Lists HMDB51.

  Args:
    request: The options; uses `source`, `splits` and `output`.

  Returns:
    The videos with the label 'class'; classes are numbered in the order of
    their names.

  Raises:
    ConfigError: If source or splits were not given.
    DataError: If files are missing or contradict each other.
  """
  source, splits = request.required_source(), request.required_splits()
  found = find_source_files(source, request.output)
  names = map(_FILE.fullmatch, files.list_names(splits))
  matches = [match for match in names if match]
  classes = sorted({match["label"] for match in matches})
  folds = sorted({int(match["fold"]) for match in matches})
  if not classes:
    raise DataError(
      f"--splits={splits}: holds no file <class>_test_split1.txt; it is the "
      "directory testTrainMulti_7030_splits"
    )
  lines = [
    line
    for label in classes
    for fold in folds
    for line in _read_list(splits, label, fold)
  ]
  unmade = {
    f"{s}{n}" for n in FOLDS if n not in folds for s in ("train", "test")
  }
  official = {k: count for k, count in OFFICIAL.items() if k not in unmade}
  listing = lists.make_listing(source, found.videos, lines, classes, official)
  listing = lists.require_complete(listing, source)
  lists.check_classes(listing, [f"train{fold}" for fold in folds])
  return dataclasses.replace(listing, left_out=found.left_out)


def _read_list(directory: str, label: str, fold: int) -> Iterator[Line]:
  """Reads <class>_test_splitN.txt, the videos of one class in one fold."""
  name = f"{label}_test_split{fold}.txt"
  for where, match in annotations.match_lines(
    directory,
    name,
    _LINE,
    "the name of a video and 0 (unused), 1 (train) or 2 (test)",
  ):
    subset = _SUBSETS[match["use"]]
    split = f"{subset}{fold}" if subset else ""
    film = match["name"].rpartition(f"{label}_")[0].rstrip("_ ")
    yield Line(f"{label}/{match['name']}", label, split, fold, where, film)


DATASET = Dataset(list_videos, LAYOUT, needs_splits=True)
