"""What is checked before a run: that all its processes are of one mind.

A process with other code, another config or another dataset than the rest does
not fail, it trains something else, or hangs. So runs of several processes begin
with these checks; `--preflight` makes them alone, also for one process.
"""

import contextlib
import hashlib
import importlib.metadata
import os
import pathlib
import socket
import uuid
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import ml_collections
from etils import epath

import hdc_jax
from hdc_jax import errors, tasks
from hdc_jax.data import sources
from hdc_jax.data.options import Dataset
from hdc_jax.data.store import cache as cache_lib
from hdc_jax.data.store.index import Index
from hdc_jax.distributed import mesh as mesh_lib
from hdc_jax.distributed import processes
from hdc_jax.errors import ConfigError, DataError, HdcError
from hdc_jax.evaluate import pretrained
from hdc_jax.options import RunConfig, identity
from hdc_jax.runs import results
from hdc_jax.runtime import buckets, files

# What all processes must have alike → what to do where they do not.
_ALIKE = {
  "devices": "give every process as many devices, of one kind",
  "code": "install the same commit everywhere",
  "versions": "install the same versions everywhere",
  "options": "give every process the same command",
  "config": "give every process the same command",
}
# Task, options and config of a run.
Run = tuple[tasks.Task, Any, RunConfig]


def check(config: ml_collections.ConfigDict, workdir: str) -> str:
  """Checks processes, config, code, run directory, checkpoint and datasets.

  Args:
    config: A config of any task.
    workdir: The run directory.

  Returns:
    What was checked, in words.

  Raises:
    ConfigError: If the run would refuse the config; if processes differ in what
      they run, or do not share the run directory, or cannot write there.
    DataError: If a checkpoint or dataset is missing, or if a dataset is not the
      same everywhere.
  """
  runs = tasks.resolve(config, workdir)
  _, run_config = tasks.task_of(config).resolve(config)
  code = _code()
  reports = processes.exchange(
    {
      "host": socket.gethostname(),
      "devices": {
        "number of devices": jax.local_device_count(),
        "kind of device": jax.devices()[0].device_kind,
      },
      "code": code,
      "versions": {f"version of {k}": v for k, v in results.versions().items()},
      "options": {"--workdir": workdir},
      "config": {
        f"config.{k}": v for k, v in identity.flatten(run_config.values).items()
      },
    }
  )
  _check_alike(reports)
  mesh = mesh_lib.make_mesh()
  for task, _, one in runs:
    tasks.check_batches(task, one, mesh.devices.size)
  hosts = [report["host"] for report in reports]
  _check_workdir(workdir, hosts)
  return "\n".join(
    [
      f"processes  {len(reports)}, each with {jax.local_device_count()} × "
      f"{mesh.devices.flat[0].device_kind}",
      f"config     {run_config.fingerprint}",
      f"code       {_digest(code)}, jax {importlib.metadata.version('jax')}",
      f"workdir    {workdir}",
      *_check_datasets(runs, hosts),
      *_check_checkpoints(runs, workdir, hosts),
      "all is ready",
    ]
  )


def _code() -> dict[str, str]:
  """Hashes of the files of this package, by name."""
  root = pathlib.Path(hdc_jax.__file__).parent
  return {
    f"hdc_jax/{path.relative_to(root)}": _digest(path.read_text())
    for path in sorted(root.rglob("*.py"))
  }


def _digest(value: Any) -> str:
  return hashlib.sha256(str(value).encode()).hexdigest()[:12]


def _check_alike(told: Sequence[dict[str, Any]]) -> None:
  """Raises ConfigError naming the first thing in which a process differs."""
  first = told[0]
  for section, remedy in _ALIKE.items():
    for number, other in enumerate(told):
      for name in sorted(first[section].keys() | other[section].keys()):
        here, there = (one[section].get(name) for one in (first, other))
        if here != there:
          raise ConfigError(
            f"{name} is {there!r} in process {number} "
            f"({other['host']}) and {here!r} in process 0 ({first['host']}): "
            f"{remedy}"
          )


@contextlib.contextmanager
def _agreeing(names: Sequence[str]) -> Iterator[None]:
  """Raises the error of the first process that has one, in all of them."""
  mine: HdcError | None = None
  try:
    yield
  except HdcError as error:
    mine = error
  told = processes.exchange([type(mine).__name__, str(mine)] if mine else None)
  for number, found in enumerate(told):
    if found:
      kind, text = found
      where = f"process {number} ({names[number]}): " if len(names) > 1 else ""
      raise getattr(errors, kind)(where + text) from mine


def _check_workdir(workdir: str, names: Sequence[str]) -> None:
  """Checks that all processes write to one directory.

  Raises:
    ConfigError: If one cannot, or does not see what the others write.
  """
  (token, *_) = processes.exchange(uuid.uuid4().hex)
  root = epath.Path(workdir)
  marks = [root / f".preflight-{token}-{i}" for i in range(len(names))]
  own = marks[jax.process_index()]
  with _agreeing(names):
    try:
      files.write(own, b"")
    except OSError as error:
      raise ConfigError(
        f"--workdir={workdir} cannot be written to: {error}"
      ) from error
  try:
    with _agreeing(names):
      unseen = [i for i, mark in enumerate(marks) if not files.exists(mark)]
      if unseen:
        raise ConfigError(
          f"--workdir={workdir} does not show what process {unseen[0]} "
          f"({names[unseen[0]]}) writes there: name a directory that all "
          "share, such as one in a bucket"
        )
  finally:
    files.remove(own)


def _check_datasets(runs: Sequence[Run], hosts: Sequence[str]) -> Iterator[str]:
  """Checks that all processes read the same, and can hold it; says what.

  Raises:
    ConfigError: If a dataset does not have what a run wants of it.
    DataError: If one is missing or another, or too large for a disk.
  """
  by_dataset: dict[Dataset, list[Any]] = {}
  for _, options, _ in runs:
    by_dataset.setdefault(options.dataset, []).append(options)
  for dataset, wanted in by_dataset.items():
    path, cache = dataset.path, dataset.cache
    with _agreeing(hosts):
      index = _read_index(path)
      for options in wanted:
        options.check_dataset(index)
      # Alone, this may not be the machine that will hold the copy.
      if len(hosts) > 1:
        cache_lib.check_space(path, index, cache)
    prints = processes.exchange(index.fingerprint)
    others = [i for i, one in enumerate(prints) if one != prints[0]]
    if others:
      raise DataError(
        f"config.data.path: {path} holds another dataset in process "
        f"{others[0]} ({hosts[others[0]]}, fingerprint {prints[others[0]]}) "
        f"than in process 0 ({hosts[0]}, {prints[0]}): copy the same one to all"
      )
    shards = len(index.shards)
    # Every process reads from all shards, as the order is one of all videos.
    few = f", fewer than processes: prepare with --shards={len(hosts)}"
    size = sum(shard.bytes for shard in index.shards) / 1e9
    copied = f"; the run copies these {size:.3g} GB to {cache}"
    yield (
      f"data       {path}: {index.num_videos:,} videos in {shards} shards"
      f"{few if 0 < shards < len(hosts) else ''}"
      f"{copied if buckets.is_remote(path) else ''}"
    )


def _read_index(path: str) -> Index:
  """The index of a dataset; an error names its field."""
  try:
    return sources.read_index(path)
  except DataError as error:
    raise DataError(f"config.data.path: {error}") from error


def _check_checkpoints(
  runs: Sequence[Run], workdir: str, hosts: Sequence[str]
) -> Iterator[str]:
  """Checks that checkpoints are there and fit; says which.

  Those in the run directory are made by the run itself.

  Raises:
    ConfigError: If a checkpoint is of another network.
    DataError: If there is none, or if it is damaged.
  """
  own = os.fspath(files.absolute(workdir))
  wanted = {options.checkpoint: options for _, options, _ in runs}
  for reference, options in wanted.items():
    if not reference or reference.startswith(f"{own}/"):
      continue
    with _agreeing(hosts):
      pretrained.check(reference, options.model)
    yield f"checkpoint {reference}"
