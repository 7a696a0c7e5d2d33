"""Lists without a header: in each line a path and the classes of its video.

They are those of SlowFast (`path label`, with any of its separators), VideoMAE
and V-JEPA (`path label`, also quoted, or separated by `::`), and mmaction2
(`path label`, `path frames label`, `path label label …`):

https://github.com/facebookresearch/SlowFast, slowfast/datasets/kinetics.py
https://github.com/MCG-NJU/VideoMAE, DATASET.md
https://github.com/facebookresearch/jepa, src/datasets/video_dataset.py
https://github.com/open-mmlab/mmaction2, mmaction/datasets/video_dataset.py

A path may hold blanks: it ends where the numbers at the end of its line begin.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence

from hdc_jax.data.datasets.discovery import EXTENSIONS
from hdc_jax.data.datasets.tables.content import Content, Line
from hdc_jax.data.datasets.tables.rows import Row
from hdc_jax.errors import ConfigError, DataError

# What the numbers of a line are, for --table_format: classes, or a number of
# frames before them.
CHOICES = ("classes", "frames")

# What may separate a path from its classes, the most specific first.
_SEPARATORS = ("::", r"\t", ",", r"\s")
# Blanks are not tried again one by one (`*+`), or a long line would take hours.
_NUMBERED = tuple(
  re.compile(rf"(?P<path>.+?)(?P<numbers>(?:{before}\s*+-?\d{{1,18}})*)")
  for before in (r"\s*+::", r"[^\S\t]*+\t", r"\s*+,", r"\s")
)
_LONGEST = 1 << 14  # characters of a line
_ENDS = "|".join(re.escape(extension) for extension in sorted(EXTENSIONS))
_NAMED = re.compile(
  rf"(?P<path>.+(?:{_ENDS})[\"']?)\s*(?:{'|'.join(_SEPARATORS)})\s*"
  r"(?P<label>\S.*)",
  re.IGNORECASE,
)
_NO_CLASS = "-1"  # SlowFast and mmaction2 write it for a video without a class.


def read_list(
  content: Content, split: str, choice: str | None
) -> Iterator[Row]:
  """Reads a list.

  Args:
    content: The list.
    split: Split of all its videos.
    choice: What the numbers of a line are, one of `CHOICES`; None to see by
      their count.

  Yields:
    The rows: with the label 'class' if each line has one class at most, else
    with the tag 'class'.

  Raises:
    ConfigError: If `choice` is needed, or of no use.
    DataError: If a line is neither a path nor a path and classes.
  """
  numbers = _numbers(content.lines)
  if not any(found for _, found in numbers):
    if choice:
      raise ConfigError(
        f"--table_format is of no use to {content.path}, which has no numbers: "
        "leave it out"
      )
    yield from _read_names(content.lines, split)
    return
  counts = {len(found) for _, found in numbers}
  if choice is None and len(counts) == 1 and min(counts) > 1:
    where, text = content.lines[0]
    raise ConfigError(
      f"{where}: {text!r} may have a number of frames and a class, or several "
      "classes: add --table_format=frames or --table_format=classes"
    )
  frames = choice == "frames"
  several = choice == "classes" or max(counts) > 1 + frames
  for (where, text), (path, found) in zip(content.lines, numbers, strict=True):
    if len(found) <= frames and not (_is_video(path) and not frames):
      raise DataError(
        f"{where}: {text!r} does not end with the number of a class"
        + (" after that of frames" if frames else ", as other lines do")
      )
    classes = [name for name in found[frames:] if name != _NO_CLASS]
    yield Row(
      path=path,
      where=where,
      splits=[split],
      labels={"class": classes[0]} if classes and not several else {},
      tags={"class": list(dict.fromkeys(classes))} if several else {},
    )


def _numbers(lines: Sequence[Line]) -> list[tuple[str, list[str]]]:
  """Cuts each line into a path and the numbers that follow it.

  All lines have the same separator: that by which most of them have numbers.
  """
  for line in lines:
    if len(line.content) > _LONGEST:
      raise DataError(
        f"{line.where}: has {len(line.content):,} characters, more than any "
        "path and its classes have: is it a list of videos?"
      )
  by_separator = []
  for pattern in _NUMBERED:
    parts = []
    for line in lines:
      match = pattern.fullmatch(line.content)
      numbers = re.findall(r"-?\d+", match["numbers"]) if match else []
      path = match["path"] if match else line.content
      parts.append((_unquoted(path), [str(int(n)) for n in numbers]))
    by_separator.append(parts)
  return max(by_separator, key=lambda parts: sum(bool(n) for _, n in parts))


def _read_names(lines: Sequence[Line], split: str) -> Iterator[Row]:
  """Reads lines with the name of a class, or with nothing, after the path."""
  matches = {line.where: _NAMED.fullmatch(line.content) for line in lines}
  have_paths = all(_is_video(_unquoted(line.content)) for line in lines)
  for where, text in lines:
    match: Mapping[str, str] | re.Match[str] | None = matches[where]
    if have_paths:
      match = {"path": text, "label": ""}
    if match is None:
      raise DataError(
        f"{where}: {text!r} is no path of a video and its class, and the file "
        "has no header with a column 'path'"
      )
    label = _unquoted(match["label"])
    yield Row(
      path=_unquoted(match["path"]),
      where=where,
      splits=[split],
      labels={"class": label} if label else {},
    )


def _unquoted(text: str) -> str:
  """A text without the quotes around it."""
  quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "\"'"
  return text[1:-1] if quoted else text


def _is_video(path: str) -> bool:
  return os.path.splitext(path)[1].lower() in EXTENSIONS
