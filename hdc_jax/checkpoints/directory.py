"""The directory of a run's checkpoints: what does not belong there, and names.

Each function is for the process that has the lock of the run's directory.
"""

import os
import re
import shutil
from collections.abc import Collection

import orbax.checkpoint as ocp
from etils import epath

from hdc_jax.checkpoints import storage_errors
from hdc_jax.runs.results import CHECKPOINTS
from hdc_jax.runtime import buckets, durable, files

# A checkpoint that is being written has such a name on a disk. In a bucket it
# has its final name, and lacks the file that Orbax writes last.
_UNFINISHED = ocp.path.atomicity.TMP_DIR_SUFFIX
# What `files.writing` leaves when its process is killed.
_PARTIAL = re.compile(r"\..+\.[0-9a-f]{8}\.tmp")


class DurablePath(ocp.path.atomicity.AtomicRenameTemporaryPath):
  """Where a checkpoint on a disk is while it is written.

  Orbax renames it at the end, and then removes older checkpoints, without
  asking the disk whether it has the new one.
  """

  async def finalize(self) -> None:
    """Lets the checkpoint be on the disk, and then have its final name."""
    if self.get_final().parent.name.endswith(_UNFINISHED):
      await super().finalize()  # a part of a checkpoint that is not finished
      return
    durable.sync_all(self.get())
    await super().finalize()
    # Orbax has written to two files since, see `manifest`. If they are lost,
    # the checkpoint is damaged, and older ones are still there.
    final = self.get_final()
    for name in os.listdir(final):
      if (final / name).is_file():
        durable.sync(final / name)
    for folder in (final, final.parent, final.parent.parent):
      durable.sync(folder)


def clean(workdir: epath.Path, steps: Collection[int]) -> list[str]:
  """Removes what a killed process has left in the directory of a run.

  Args:
    workdir: Directory of the run.
    steps: Steps of the finished checkpoints.

  Returns:
    Names of what was removed, relative to the directory.

  Raises:
    StorageError: If it cannot be removed.
  """
  remote = buckets.is_remote(workdir)
  found = [name for name in _list(workdir) if _PARTIAL.fullmatch(name)]
  for name in _list(workdir / CHECKPOINTS):
    unfinished = remote and name.isdigit() and int(name) not in steps
    if name.endswith(_UNFINISHED) or unfinished:
      found.append(f"{CHECKPOINTS}/{name}")
  for name in found:
    remove(workdir / name)
  return found


def remove(path: epath.Path) -> None:
  """Removes a file or directory.

  Raises:
    StorageError: If it cannot be removed.
  """
  with buckets.translated_errors(path):
    if buckets.is_remote(path):
      buckets.file_system(path).rm(os.fspath(path), recursive=True)
      return
    try:
      if path.is_dir():
        shutil.rmtree(path)
      else:
        path.unlink(missing_ok=True)
    except OSError as error:
      raise storage_errors.unreadable(error) from error


def remove_unfinished(path: epath.Path) -> None:
  """Removes what a failed save has written of a checkpoint, as far as it can.

  Args:
    path: Path that the checkpoint would have.
  """
  shutil.rmtree(f"{os.fspath(path)}{_UNFINISHED}", ignore_errors=True)


def unfinished(path: epath.Path) -> epath.Path:
  """Where a checkpoint is while it is written.

  Args:
    path: Path that it will have.
  """
  if buckets.is_remote(path):
    return path
  return path.with_name(path.name + _UNFINISHED)


def set_aside(path: epath.Path) -> epath.Path:
  """Renames a damaged checkpoint to N.damaged, so that it is not found again.

  Args:
    path: The checkpoint.

  Returns:
    Its new path.

  Raises:
    StorageError: If it cannot be renamed.
  """
  taken = _list(path.parent)
  name, number = f"{path.name}.damaged", 1
  while name in taken:
    number += 1
    name = f"{path.name}.damaged-{number}"
  target = path.with_name(name)
  with buckets.translated_errors(path):
    if buckets.is_remote(path):
      buckets.file_system(path).mv(
        os.fspath(path), os.fspath(target), recursive=True
      )
      return target
    try:
      path.rename(target)
    except OSError as error:
      raise storage_errors.unreadable(error) from error
  return target


def _list(directory: epath.Path) -> list[str]:
  """Names in a directory; none if there is no such directory."""
  try:
    return files.list_names(directory)
  except (FileNotFoundError, NotADirectoryError):
    return []
  except OSError as error:
    raise storage_errors.unreadable(error) from error
