"""Diving48, with the corrected labels of version 2: 48 kinds of dives.

The clips of one competition are cut from one long video; that is their group.

Li, Li and Vasconcelos, 2018,
http://www.svcl.ucsd.edu/projects/resound/dataset.html; files as in mmaction2,
tools/data/diving48
"""

from collections.abc import Iterator

from hdc_jax.data.datasets import annotations, official
from hdc_jax.data.datasets.base import Dataset, Listing, Request
from hdc_jax.data.datasets.official import Entry
from hdc_jax.errors import DataError

LAYOUT = """\
--source  rgb/, from Diving48_rgb.tar.gz: _8Vy3dlHg2w_00000.mp4, …
--splits  Diving48_V2_train.json, Diving48_vocab.json and, if wanted,
          Diving48_V2_test.json
The splits are train and test. Videos that are not in --source are listed in
missing.txt, files without a line in unlisted.txt.
"""

OFFICIAL = {"videos": 16997, "classes": 48, "train": 15027, "test": 1970}

_VOCABULARY = "Diving48_vocab.json"
_FILES = {split: [f"Diving48_V2_{split}.json"] for split in ("train", "test")}


def list_videos(request: Request) -> Listing:
  """Lists Diving48.

  Args:
    request: The options; uses `source`, `splits` and `output`.

  Returns:
    The videos with the label 'class', numbered as in Diving48_vocab.json; a
    class is called by the four parts of its dive.

  Raises:
    ConfigError: If source or splits were not given.
    DataError: If files are missing or contradict each other.
  """
  splits = request.required_splits()
  annotations.find_file(splits, [_VOCABULARY])
  vocabulary = annotations.read_json(splits, _VOCABULARY)
  if not isinstance(vocabulary, list):
    raise DataError(f"{_VOCABULARY}: is no list of classes")
  classes = [
    " ".join(map(str, parts)) if isinstance(parts, list) else str(parts)
    for parts in vocabulary
  ]
  entries = [
    entry
    for split, name in annotations.find_files(splits, _FILES).items()
    for entry in _read_list(splits, name, split)
  ]
  return official.make_listing(request, entries, classes, OFFICIAL)


def _read_list(directory: str, name: str, split: str) -> Iterator[Entry]:
  """Reads the list of a split."""
  items = annotations.read_items(directory, name, ("vid_name", "label"))
  for where, item in items:
    video, label = str(item["vid_name"]), item["label"]
    if not isinstance(label, int):
      raise DataError(f"{where}: the label {label!r} is no number")
    group = video.rpartition("_")[0]
    yield Entry(video, where, split, label, group=group)


DATASET = Dataset(list_videos, LAYOUT, needs_splits=True)
