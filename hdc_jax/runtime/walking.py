"""Finding all files below a directory, on disks and in buckets alike.

Nothing vanishes: what is not an ordinary file is named with the reason, and
each directory is entered once, whatever symbolic links point to it.
"""

import collections
import heapq
import os
import stat
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from etils import epath

from hdc_jax.runtime.buckets import (
  is_remote,
  object_sizes,
  translated_errors,
)


class Found(NamedTuple):
  """What lies below a directory.

  Every path is relative to the directory, with '/'.

  Attributes:
    files: The ordinary files, sorted by folder and name.
    others: For each reason, what is there besides, sorted in the same way:
      'hidden' (files whose name, or that of a folder above them, begins with a
      dot), 'special' (FIFOs, sockets and devices), 'broken_links' (symbolic
      links to nothing), 'linked_twice' (symbolic links to a file or folder that
      is found by another path) and 'unreadable' (folders that cannot be
      listed). Reasons without a path are left out.
  """

  files: list[str]
  others: dict[str, list[str]]


def find_files(directory: epath.PathLike) -> Found:
  """Finds all files in a directory and its sub-folders.

  Symbolic links are followed, but each directory is entered once, and each file
  that is linked counts once: under its own path if that is below the directory,
  otherwise under the first link by name. So a loop of links ends.

  Args:
    directory: The directory to search.

  Returns:
    The files, and what else is there.

  Raises:
    OSError: If the directory itself cannot be listed.
  """
  directory = os.fspath(directory)
  if is_remote(directory):
    with translated_errors(directory):
      objects = object_sizes(directory)
    inside = [path.removeprefix(directory).lstrip("/") for path in objects]
    hidden = {path for path in inside if "/." in f"/{path}"}
    return _sorted(set(inside) - hidden, {"hidden": hidden})
  return _Walk(directory).found()


def sort_key(path: str) -> list[str]:
  """Sorts paths by folder and name, as a listing of the folders would."""
  return path.split("/")


def kind_of(path: str) -> str | None:
  """Tells what a local path is, without opening it.

  Args:
    path: The path.

  Returns:
    'file', 'folder', or 'special' for a FIFO, a socket or a device, which may
    be opened only by who knows what it is. None if there is nothing.

  Example:
    >>> kind_of("/dev"), kind_of("/dev/null"), kind_of("/no/file")
    ('folder', 'special', None)
  """
  try:
    mode = os.stat(path).st_mode
  except (OSError, ValueError):  # A ValueError for what is no name of a file.
    return None
  if stat.S_ISREG(mode):
    return "file"
  return "folder" if stat.S_ISDIR(mode) else "special"


class _Walk:
  """The way through a local directory.

  Real folders come before links to folders, and these in order of their names.
  """

  def __init__(self, directory: str) -> None:
    self._directory = directory
    self._files: list[str] = []
    self._others: dict[str, list[str]] = collections.defaultdict(list)
    # The path without symbolic links of each folder that was entered, by its
    # path below the directory; and all these values.
    self._real: dict[str, str] = {}
    self._entered: set[str] = set()
    self._folder_links: list[tuple[list[str], str]] = []  # a heap
    self._file_links: list[str] = []

  def found(self) -> Found:
    """Walks, and returns what was found."""
    with os.scandir(self._directory):  # The directory itself can be listed.
      pass
    self._enter("", os.path.realpath(self._directory))
    while self._folder_links:
      _, link = heapq.heappop(self._folder_links)
      real = os.path.realpath(self._absolute(link))
      if real in self._entered:
        self._others["linked_twice"].append(link)
      else:
        self._enter(link, real)
    self._follow_file_links()
    return _sorted(self._files, self._others)

  def _absolute(self, path: str) -> str:
    return os.path.join(self._directory, path)

  def _enter(self, folder: str, real: str) -> None:
    """Notes everything in a folder and in the folders below it.

    Args:
      folder: Path of the folder below the directory.
      real: Its path without symbolic links.
    """
    waiting = [(folder, real)]
    while waiting:
      folder, real = waiting.pop()
      if real in self._entered:  # from a link to a folder above this one
        continue
      self._entered.add(real)
      self._real[folder] = real
      try:
        with os.scandir(self._absolute(folder)) as scan:
          entries = sorted(scan, key=lambda entry: entry.name)
      except OSError:
        self._others["unreadable"].append(folder)
        continue
      for entry in entries:
        path = f"{folder}/{entry.name}" if folder else entry.name
        if entry.name.startswith("."):
          self._note_hidden(entry, path)
        elif entry.is_dir(follow_symlinks=False):
          waiting.append((path, os.path.join(real, entry.name)))
        elif entry.is_symlink():
          self._note_link(entry, path)
        elif entry.is_file(follow_symlinks=False):
          self._files.append(path)
        else:
          self._others["special"].append(path)

  def _note_hidden(self, entry: os.DirEntry[str], path: str) -> None:
    """Notes a hidden file, or all files of a hidden folder."""
    if not entry.is_dir(follow_symlinks=False):
      self._others["hidden"].append(path)
      return
    for folder, folders, names in os.walk(entry.path):
      links = [n for n in folders if os.path.islink(os.path.join(folder, n))]
      below = os.path.relpath(folder, entry.path)
      prefix = path if below == "." else f"{path}/{below}"
      self._others["hidden"] += [f"{prefix}/{name}" for name in names + links]

  def _note_link(self, entry: os.DirEntry[str], path: str) -> None:
    """Notes a symbolic link for later, or what is wrong with it."""
    try:
      mode = entry.stat().st_mode
    except OSError:
      self._others["broken_links"].append(path)
      return
    if stat.S_ISDIR(mode):
      heapq.heappush(self._folder_links, (sort_key(path), path))
    elif stat.S_ISREG(mode):
      self._file_links.append(path)
    else:
      self._others["special"].append(path)

  def _follow_file_links(self) -> None:
    """Notes each file that is linked once."""
    targets = {
      link: os.path.realpath(self._absolute(link)) for link in self._file_links
    }
    wanted = set(targets.values())
    known = wanted and {
      real for path in self._files if (real := self._real_path(path)) in wanted
    }
    for link in sorted(targets, key=sort_key):
      if targets[link] in known:
        self._others["linked_twice"].append(link)
      else:
        self._files.append(link)
        known.add(targets[link])

  def _real_path(self, path: str) -> str:
    """Path without symbolic links of a file that is no link itself."""
    folder, _, name = path.rpartition("/")
    return os.path.join(self._real[folder], name)


def _sorted(paths: Iterable[str], others: Mapping[str, Iterable[str]]) -> Found:
  """Sorts all paths, and leaves out reasons that have none."""
  reasons = {
    reason: sorted(paths, key=sort_key) for reason, paths in others.items()
  }
  return Found(
    sorted(paths, key=sort_key),
    {reason: reasons[reason] for reason in sorted(reasons) if reasons[reason]},
  )
