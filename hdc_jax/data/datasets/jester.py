"""Jester: 27 gestures of hands before a camera.

It is published as a folder of JPEG frames for each video. One command of FFmpeg
puts them into files of video as they are.

Choice: the frames are shown at 12 frames per second, at which they were taken.

Materzynska, Berger, Bax and Memisevic, 2019,
https://www.qualcomm.com/developer/software/jester-dataset; files as in
mmaction2, tools/data/jester and tools/data/parse_file_list.py
"""

import os
from collections.abc import Iterator, Mapping

from hdc_jax.data.datasets import annotations, official
from hdc_jax.data.datasets.base import Dataset, Listing, Request
from hdc_jax.data.datasets.official import Entry
from hdc_jax.errors import DataError
from hdc_jax.runtime import files

LAYOUT = """\
--source  folder of the videos, 1.mkv, 2.mkv, … (or .mp4, .webm), made of
          the folders of frames in 20bn-jester-v1/, without any loss, by
          mkdir jester; for i in $(ls 20bn-jester-v1); do ffmpeg \\
            -framerate 12 -i 20bn-jester-v1/$i/%05d.jpg \\
            -c copy jester/$i.mkv; done
--splits  jester-v1-labels.csv, jester-v1-train.csv and, as far as wanted,
          jester-v1-validation.csv and jester-v1-test.csv; also without
          jester-v1- before their names
The splits are train, val and test; test videos have no class. Videos that
are not in --source are listed in missing.txt, files without a line in
unlisted.txt.
"""

OFFICIAL = {
  "videos": 148092,
  "classes": 27,
  "train": 118562,
  "val": 14787,
  "test": 14743,
}

_FRAMES = "20bn-jester-v1"
_FILES = {"train": "train", "val": "validation", "test": "test"}


def _names(name: str) -> list[str]:
  """Both names of a file."""
  return [f"jester-v1-{name}.csv", f"{name}.csv"]


def list_videos(request: Request) -> Listing:
  """Lists Jester.

  Args:
    request: The options; uses `source`, `splits` and `output`.

  Returns:
    The videos with the label 'class', numbered in the order of
    jester-v1-labels.csv, from 0.

  Raises:
    ConfigError: If source or splits were not given.
    DataError: If files are missing or contradict each other, or the source
      holds pictures and no videos.
  """
  source, splits = request.required_source(), request.required_splits()
  labels = annotations.find_file(splits, _names("labels"))
  classes = [text for _, text in annotations.read_lines(splits, str(labels))]
  numbers = {label: number for number, label in enumerate(classes)}
  found = annotations.find_files(
    splits, {split: _names(name) for split, name in _FILES.items()}
  )
  entries = [
    entry
    for split, name in found.items()
    for entry in _read_list(splits, name, split, numbers)
  ]
  for entry in entries[:1]:
    _check_made_videos(source, entry.name)
  return official.make_listing(request, entries, classes, OFFICIAL)


def _check_made_videos(source: str, name: str) -> None:
  """Raises a DataError if the source holds folders of frames.

  There are millions of frames, so they are not searched.
  """
  for folder in (source, os.path.join(source, _FRAMES)):
    if files.is_dir(os.path.join(folder, name)):
      raise DataError(
        f"--source={source}: holds a folder of frames for each video; make "
        "video files of them by the command of --help"
      )


def _read_list(
  directory: str, name: str, split: str, numbers: Mapping[str, int]
) -> Iterator[Entry]:
  """Reads the list of a split: 'id;class', or 'id' alone for test."""
  for where, text in annotations.read_lines(directory, name):
    video, _, label = text.partition(";")
    if label not in numbers and (label or split != "test"):
      raise DataError(f"{where}: the labels have no class {label!r}")
    yield Entry(video, where, split, numbers.get(label))


DATASET = Dataset(list_videos, LAYOUT, needs_splits=True)
