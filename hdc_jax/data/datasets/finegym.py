"""FineGym: 99 or 288 elements of women's gymnastics.

An element is a part of an event, such as a vault, which is a part of a film of
a competition. A line A0xAXXysHUo_E_002184_002237_A_0035_0036 0 names YouTube's
id of the film, the event from second 2184 to 2237 of the film, the element from
second 35 to 36 of the event, and the class. The film is the group.

Choice: these seconds are rounded down, as 1805.48 and 1812.92 become
E_001805_001812. Where the exact times of finegym_annotation_info are not at
hand, an element begins and ends as the line says, plus a second at its end.

Shao, Zhao, Dai and Lin, 2020, https://sdolivia.github.io/FineGym; numbers of
version 1.0 as in https://github.com/SDOlivia/FineGym, folders as in mmaction2,
tools/data/gym
"""

import functools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hdc_jax.data.datasets import annotations, official
from hdc_jax.data.datasets.base import Dataset, Listing, Request
from hdc_jax.data.datasets.official import Entry, Place
from hdc_jax.errors import DataError

LAYOUT = """\
--source  films, A0xAXXysHUo.mp4, … of which the elements are parts; or the
          events, A0xAXXysHUo_E_002184_002237.mp4, …; or the elements,
          A0xAXXysHUo_E_002184_002237_A_0035_0036.mp4, …
--splits  gym99_categories.txt, gym99_train_element_v1.1.txt (or v1.0) and,
          if wanted, gym99_val_element.txt; or all of these with gym288; and
          finegym_annotation_info_v1.1.json (or v1.0), the exact times
The splits are train and val. Elements that are not in --source are listed
in missing.txt, files without a line in unlisted.txt.
"""

# Numbers of lines; those of the training lists are of version 1.0, since the
# authors do not state those of version 1.1.
OFFICIAL: dict[str, dict[str, int]] = {
  "gym99": {"classes": 99, "val": 8521},
  "gym288": {"classes": 288, "val": 9646},
}
TRAIN_V1_0 = {"gym99": 20484, "gym288": 22671}

_VERSIONS = ("v1.1", "v1.0")
# What times of another form raise.
_MALFORMED = (
  AttributeError,
  TypeError,
  ValueError,
  LookupError,
  OverflowError,
)
_CATEGORY = re.compile(
  r"Clabel:\s*(?P<number>\d{1,9});.*?Glabel:\s*\d+;\s*(?P<name>.+)"
)
_LINE = re.compile(
  r"(?P<event>(?P<film>.{11})_(?P<e>E_(?P<e_start>\d{1,9})_(?P<e_end>\d{1,9})))"
  r"_(?P<a>A_(?P<start>\d{1,9})_(?P<end>\d{1,9}))\s+(?P<label>\d{1,9})"
)


def list_videos(edition: str, request: Request) -> Listing:
  """Lists the elements of FineGym.

  Args:
    edition: 'gym99' or 'gym288'.
    request: The options; uses `source`, `splits` and `output`.

  Returns:
    The elements with the label 'class', numbered as in the categories.

  Raises:
    ConfigError: If source or splits were not given.
    DataError: If files are missing or contradict each other.
  """
  splits = request.required_splits()
  classes = _read_classes(splits, f"{edition}_categories.txt")
  info = annotations.find_file(
    splits,
    [f"finegym_annotation_info_{version}.json" for version in _VERSIONS],
    required=False,
  )
  times = annotations.read_json(splits, info) if info else {}
  if not isinstance(times, dict):
    raise DataError(f"{info}: holds no events by film")
  found = annotations.find_files(
    splits,
    {
      "train": [f"{edition}_train_element_{v}.txt" for v in _VERSIONS],
      "val": [
        f"{edition}_val_element.txt",
        *(f"{edition}_val_element_{v}.txt" for v in _VERSIONS),
      ],
    },
  )
  entries = [
    entry
    for split, name in found.items()
    for entry in _read_list(splits, name, split, times)
  ]
  numbers = dict(OFFICIAL[edition])
  if found["train"].endswith("v1.0.txt"):
    numbers["train"] = TRAIN_V1_0[edition]
    numbers["videos"] = numbers["train"] + numbers["val"]
  return official.make_listing(request, entries, classes, numbers)


def _read_classes(directory: str, name: str) -> list[str]:
  """Reads the names of the classes, numbered from 0."""
  classes = []
  for where, text in annotations.read_lines(directory, name):
    match = _CATEGORY.fullmatch(text)
    if not match or int(match["number"]) != len(classes):
      raise DataError(
        f"{where}: {text!r} is not like Clabel: {len(classes)}; set: 1; "
        "Glabel: 1; (VT) round-off"
      )
    classes.append(match["name"].strip())
  return classes


def _read_list(
  directory: str, name: str, split: str, times: Mapping[str, Any]
) -> Iterator[Entry]:
  """Reads the list of a split.

  Args:
    directory: The directory given as --splits.
    name: Name of the file.
    split: Split of its elements.
    times: The events of the films, from finegym_annotation_info.

  Yields:
    The elements.
  """
  for where, match in annotations.match_lines(
    directory, name, _LINE, "like A0xAXXysHUo_E_002184_002237_A_0035_0036 0"
  ):
    # By the numbers of the line, as far as there are no exact ones.
    try:
      event = (times.get(match["film"]) or {}).get(match["e"]) or {}
      action = (event.get("segments") or {}).get(match["a"]) or {}
      begin, _ = _span(event, [int(match["e_start"]), int(match["e_end"]) + 1])
      start, end = _span(action, [int(match["start"]), int(match["end"]) + 1])
    except _MALFORMED as error:
      raise DataError(
        f"{where}: the exact times of it are malformed: {error}"
      ) from error
    element = match[0].split()[0]
    yield Entry(
      element,
      where,
      split,
      int(match["label"]),
      group=match["film"],
      places=(
        Place(element),
        Place(match["event"], start, end),
        Place(match["film"], begin + start, begin + end),
      ),
    )


def _span(item: Mapping[str, Any], default: Sequence[float]) -> list[float]:
  """First and last second of an event or element, whose stages have times."""
  stages = item.get("timestamps") or [default]
  begin, end = float(stages[0][0]), float(stages[-1][1])
  if not 0 <= begin < end < math.inf:
    raise ValueError(f"from {begin} to {end} seconds")
  return [begin, end]


DATASETS = {
  edition: Dataset(
    functools.partial(list_videos, edition), LAYOUT, needs_splits=True
  )
  for edition in OFFICIAL
}
