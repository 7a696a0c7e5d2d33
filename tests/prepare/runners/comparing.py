"""Holds prepared datasets against each other."""

import hashlib
import os
import pathlib
import signal

from hdc_jax.prepare.runners.videos import prepare_video


def contents(output, folder="."):
  """Digests of all files but hidden ones, by name.

  Args:
    output: directory of the dataset.
    folder: of the videos, whose name is in the reasons why some were left out;
      it is the same for all datasets that are compared, or is given.
  """
  return {
    path.name: hashlib.sha256(
      path.read_bytes().replace(str(folder).encode(), b".")
    ).hexdigest()
    for path in sorted(pathlib.Path(output).iterdir())
    if path.is_file() and not path.name.startswith(".")
  }


def die_of_two(file, *settings):
  """As `videos.prepare_video`, with a codec that crashes on one file."""
  if file.id == "walk/2.mp4":
    os.kill(os.getpid(), signal.SIGSEGV)
  return prepare_video(file, *settings)
