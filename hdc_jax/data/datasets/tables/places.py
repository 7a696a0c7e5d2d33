"""The files that the rows of a table mean, and those that no row means."""

import collections
import os
import posixpath
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from hdc_jax.data.datasets import lists
from hdc_jax.data.datasets.base import escape_path
from hdc_jax.data.datasets.discovery import SourceFiles
from hdc_jax.data.datasets.tables.rows import Row
from hdc_jax.errors import DataError
from hdc_jax.runtime import files, walking
from hdc_jax.runtime.buckets import is_remote


class Listed(NamedTuple):
  """A row with the file that it means.

  Attributes:
    row: The row.
    path: Path of the file, which need not exist.
    file_id: The path below the source, printable.
    video_id: Id of the video: the same with the part of the file, if it is one.
  """

  row: Row
  path: str
  file_id: str
  video_id: str


def paths_by_stem(found: SourceFiles) -> dict[str, list[str]]:
  """Groups paths by the name of the file, without folders and extension."""
  paths = collections.defaultdict(list)
  for path in found.videos:
    paths[os.path.splitext(posixpath.basename(path))[0]].append(path)
  return paths


def locate(row: Row, source: str, stems: Mapping[str, Sequence[str]]) -> Listed:
  """Finds the path that a row means.

  Args:
    row: The row.
    source: The folder that its path starts from.
    stems: The videos in this folder by name, as far as rows need that.

  Raises:
    DataError: If several files have the name.
  """
  matching = next((stems[name] for name in row.stems if name in stems), ())
  if len(matching) > 1:
    raise DataError(
      f"{row.where}: the video has several files: {lists.summarize(matching)}; "
      "keep one"
    )
  path = matching[0] if matching else row.path
  if not is_remote(path):
    path = os.path.join(source, posixpath.normpath(path))
  inside = _absolute(path).removeprefix(_absolute(source).rstrip("/") + "/")
  file_id = video_id = escape_path(inside)
  if row.start or row.end is not None:
    end = "" if row.end is None else f"{row.end:.10g}"
    video_id = f"{file_id}@{row.start:.10g}-{end}"
  return Listed(row, path, file_id, video_id)


def _absolute(path: str) -> str:
  return path if is_remote(path) else os.path.abspath(path)


def keep_existing(
  listed: Sequence[Listed],
) -> tuple[list[Listed], dict[str, list[str]]]:
  """Separates rows whose file exists from the ids of the others, by reason.

  Raises:
    DataError: If there is no file at all, or a path is that of a folder.
  """
  paths = list(dict.fromkeys(item.path for item in listed))
  remote = [path for path in paths if is_remote(path)]
  kinds = {p: walking.kind_of(p) for p in paths if not is_remote(p)}
  for path, size in zip(remote, files.sizes(remote), strict=True):
    kinds[path] = None if size is None else "file"
  left_out: dict[str, list[str]] = {"missing": [], "special": []}
  existing = []
  for item in listed:
    match kinds[item.path]:
      case "file":
        existing.append(item)
      case "folder":
        raise DataError(
          f"{item.row.where}: {item.path} is a folder, perhaps of frames; list "
          "the video files instead"
        )
      case "special":
        left_out["special"].append(item.video_id)
      case _:
        left_out["missing"].append(item.video_id)
  if not existing:
    row, path = listed[0].row, listed[0].path
    raise DataError(
      f"none of {len(listed):,} listed videos exists; the first, of "
      f"{row.where}: {path}; --source is the folder that paths start from"
    )
  return existing, left_out


def unused_files(
  found: SourceFiles, source: str, used: Sequence[Listed]
) -> dict[str, list[str]]:
  """The files of a folder that no row uses.

  Args:
    found: The files of the folder.
    source: The folder.
    used: The rows whose files exist.

  Returns:
    For each reason, the printable paths of the files: 'unlisted' for videos,
    otherwise the reason for which they are no videos.
  """
  unused = {"unlisted": list(map(escape_path, found.videos)), **found.left_out}
  ids = {item.file_id for item in used}
  return {
    reason: [path for path in paths if path not in ids]
    for reason, paths in unused.items()
  }
