"""Something-Something v2: people do something with some object.

The class is the template of the caption, without the brackets around
'something'. The videos of the test set got their classes later, in
test-answers.csv.

Goyal et al., 2017, https://arxiv.org/abs/1706.04261; files and numbers as in
https://www.qualcomm.com/developer/software/something-something-v-2-dataset;
templates are read as mmaction2 does, tools/data/parse_file_list.py
"""

from collections.abc import Iterator, Mapping

from hdc_jax.data.datasets import annotations, official
from hdc_jax.data.datasets.base import Dataset, Listing, Request
from hdc_jax.data.datasets.official import Entry
from hdc_jax.errors import DataError

LAYOUT = """\
--source  20bn-something-something-v2/: 1.webm, 2.webm, …
--splits  labels.json, train.json and, as far as wanted, validation.json,
          test.json and test-answers.csv (the classes of the test videos);
          also with something-something-v2- before their names
The splits are train, val and test. Videos that are not in --source are
listed in missing.txt, files without a line in unlisted.txt.
"""

OFFICIAL = {
  "videos": 220847,
  "classes": 174,
  "train": 168913,
  "val": 24777,
  "test": 27157,
}

_FILES = {"train": "train", "val": "validation", "test": "test"}


def _names(name: str) -> list[str]:
  """Both names of a file: that of the first download, and a longer one."""
  return [name, f"something-something-v2-{name}"]


def list_videos(request: Request) -> Listing:
  """Lists Something-Something v2.

  Args:
    request: The options; uses `source`, `splits` and `output`.

  Returns:
    The videos with the label 'class', numbered as in labels.json.

  Raises:
    ConfigError: If source or splits were not given.
    DataError: If files are missing or contradict each other.
  """
  splits = request.required_splits()
  numbers = _read_classes(splits)
  answers = _read_answers(splits)
  found = annotations.find_files(
    splits, {split: _names(f"{f}.json") for split, f in _FILES.items()}
  )
  entries = [
    entry
    for split, name in found.items()
    for entry in _read_list(splits, name, split, numbers, answers)
  ]
  return official.make_listing(request, entries, list(numbers), OFFICIAL)


def _read_classes(directory: str) -> dict[str, int]:
  """Reads the numbers of the classes by name, in order of the numbers."""
  name = annotations.find_file(directory, _names("labels.json"))
  content = annotations.read_json(directory, str(name))
  try:
    numbers = {label: int(number) for label, number in content.items()}
  except (AttributeError, TypeError, ValueError, OverflowError) as error:
    raise DataError(
      f"{name}: is not like {{class: number}}: {error}"
    ) from error
  if sorted(numbers.values()) != list(range(len(numbers))):
    raise DataError(f"{name}: the classes are not numbered from 0")
  return dict(sorted(numbers.items(), key=lambda item: item[1]))


def _read_answers(directory: str) -> dict[str, str]:
  """Reads the classes of test videos, lines of 'id;class', if there are any."""
  name = annotations.find_file(
    directory, _names("test-answers.csv"), required=False
  )
  lines = annotations.read_lines(directory, name) if name else []
  return {
    video: label
    for video, _, label in (text.partition(";") for _, text in lines)
  }


def _read_list(
  directory: str,
  name: str,
  split: str,
  numbers: Mapping[str, int],
  answers: Mapping[str, str],
) -> Iterator[Entry]:
  """Reads the list of a split."""
  keys = ("id",) if split == "test" else ("id", "template")
  for where, item in annotations.read_items(directory, name, keys):
    video = str(item["id"])
    label = item.get("template") or answers.get(video)
    if label:
      label = str(label).replace("[", "").replace("]", "")
      if label not in numbers:
        raise DataError(f"{where}: labels.json has no class {label!r}")
    yield Entry(video, where, split, numbers[label] if label else None)


DATASET = Dataset(list_videos, LAYOUT, needs_splits=True)
