"""Prepares folders of videos, and tells what came out."""

import hashlib
import pathlib

from hdc_jax.data.store import checksums
from hdc_jax.prepare import command

VIDEOS = 8  # in the folder of `conftest`


def arguments(source, output, *more):
  return [
    "--dataset=folder",
    f"--source={source}",
    f"--output={output}",
    "--short_side=32",
    "--shards=4",
    "--workers=2",
    *more,
  ]


def run(source, output, *more):
  return command.main(arguments(source, output, *more))


def contents(output):
  """Digests of all files but of what opening them leaves."""
  return {
    path.name: hashlib.sha256(path.read_bytes()).hexdigest()
    for path in sorted(pathlib.Path(output).iterdir())
    if path.is_file() and path.name != checksums.REMEMBERED
  }


def copy(prepared, target):
  """Copies a prepared dataset."""
  for path in prepared.iterdir():
    (target / path.name).write_bytes(path.read_bytes())
