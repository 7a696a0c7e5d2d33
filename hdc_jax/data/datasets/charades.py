"""Charades: people act out everyday scenes at home; a video shows many actions.

The actions of a video are its tag 'action'. When they happen is not used: the
task is to tell which actions a video shows, measured by mean average precision.

Sigurdsson, Varol, Wang, Farhadi, Laptev and Gupta, 2016,
https://arxiv.org/abs/1604.01753; files as in
https://prior.allenai.org/projects/data/charades/README.txt
"""

import re
from collections.abc import Iterator, Mapping

from hdc_jax.data.datasets import annotations, official
from hdc_jax.data.datasets.base import Dataset, Listing, Request
from hdc_jax.data.datasets.official import Entry
from hdc_jax.errors import DataError

LAYOUT = """\
--source  Charades_v1_480/ or Charades_v1/, not both: 001YG.mp4, …
--splits  from Charades.zip: Charades_v1_classes.txt, Charades_v1_train.csv
          and, if wanted, Charades_v1_test.csv
The splits are train and test; the actions of a video are its tag action.
Videos that are not in --source are listed in missing.txt, files without a
line in unlisted.txt.
"""

OFFICIAL = {"videos": 9848, "classes": 157, "train": 7985, "test": 1863}

TAG = "action"
_CLASSES = "Charades_v1_classes.txt"
_FILES = {split: [f"Charades_v1_{split}.csv"] for split in ("train", "test")}
_CLASS = re.compile(r"(?P<code>c\d+)\s+(?P<name>.+)")


def list_videos(request: Request) -> Listing:
  """Lists Charades.

  Args:
    request: The options; uses `source`, `splits` and `output`.

  Returns:
    The videos with the tag 'action', numbered as in Charades_v1_classes.txt.
    Some videos show none of the actions.

  Raises:
    ConfigError: If source or splits were not given.
    DataError: If files are missing or contradict each other.
  """
  splits = request.required_splits()
  codes, names = {}, []
  for _, match in annotations.match_lines(
    splits, _CLASSES, _CLASS, "like c000 Holding some clothes"
  ):
    codes[match["code"]] = len(names)
    names.append(match["name"])
  entries = [
    entry
    for split, name in annotations.find_files(splits, _FILES).items()
    for entry in _read_csv(splits, name, split, codes)
  ]
  return official.make_listing(request, entries, names, OFFICIAL, tag=TAG)


def _read_csv(
  directory: str, name: str, split: str, codes: Mapping[str, int]
) -> Iterator[Entry]:
  """Reads the annotations of a split.

  Args:
    directory: The directory given as --splits.
    name: Name of the file.
    split: Split of its videos.
    codes: Numbers of the classes, by codes such as 'c092'.

  Yields:
    The videos; actions are 'c092 11.90 21.20;c147 0.00 12.60', or nothing.
  """
  for where, row in annotations.read_csv(directory, name, ("id", "actions")):
    shown = {
      action.split()[0]
      for action in row["actions"].split(";")
      if action.strip()
    }
    unknown = shown - codes.keys()
    if unknown:
      raise DataError(
        f"{where}: {_CLASSES} has no {', '.join(sorted(unknown))}"
      )
    yield Entry(
      row["id"], where, split, tags=sorted(codes[code] for code in shown)
    )


DATASET = Dataset(list_videos, LAYOUT, needs_splits=True)
