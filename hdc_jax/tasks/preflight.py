"""Checks before a run, above all that its processes agree.

A process whose code, config or dataset differs from those of the others does
not fail: it trains another network, or hangs. So runs of several processes
begin with these checks. With `--preflight`, a command makes the checks and
stops, even if it is a single process.
"""

import dataclasses
import hashlib
import importlib.metadata
import itertools
import os
import pathlib
import socket
import uuid
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import ml_collections
import numpy as np
from etils import epath

import hdc_jax
from hdc_jax import tasks
from hdc_jax.data import lanes, mixtures, sources
from hdc_jax.data.options import Dataset
from hdc_jax.data.store import cache as cache_lib
from hdc_jax.data.store.index import Index
from hdc_jax.distributed import mesh as mesh_lib
from hdc_jax.distributed import processes
from hdc_jax.errors import ConfigError, DataError
from hdc_jax.evaluate import pretrained
from hdc_jax.options import RunConfig, identity
from hdc_jax.runs import results
from hdc_jax.runtime import buckets, files
from hdc_jax.tasks import input_rate
from hdc_jax.tasks.pretrain import Pretrain
from hdc_jax.tasks.train_and_test import Supervised

# Sections of a process's report that must be equal in all processes → the
# remedy if they are not.
_ALIKE = {
  "devices": "give every process as many devices, of one kind",
  "code": "install the same commit everywhere",
  "versions": "install the same versions everywhere",
  "options": "give every process the same command",
  "config": "give every process the same command",
}
# Task, options and config of a run.
Run = tuple[tasks.Task, Any, RunConfig]


def check(
  config: ml_collections.ConfigDict, workdir: str, measured: bool = False
) -> str:
  """Checks processes, config, code, run directory, checkpoint and datasets.

  Args:
    config: A config of any task.
    workdir: Directory of the run.
    measured: Whether to measure the loader on the datasets' records as well,
      which takes some seconds.

  Returns:
    A description of what was checked, in several lines.

  Raises:
    ConfigError: If the config is wrong, or does not fit the data, a checkpoint
      or the devices; if processes differ in what they run, do not share the run
      directory, or cannot write there.
    DataError: If a checkpoint or dataset is missing, or if processes have
      different datasets.
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
  for task, _, config_of_run in runs:
    tasks.check_batches(task, config_of_run, mesh.devices.size, len(reports))
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
      *(
        f"loader     {line}"
        for line in input_rate.describe(
          [options for _, options, _ in runs if measured], hosts
        )
      ),
      "all is ready",
    ]
  )


def _code() -> dict[str, str]:
  """The hash of each file of this package, by the path of the file."""
  root = pathlib.Path(hdc_jax.__file__).parent
  return {
    f"hdc_jax/{path.relative_to(root)}": _digest(path.read_text())
    for path in sorted(root.rglob("*.py"))
  }


def _digest(value: Any) -> str:
  """A short hash of a value, by its text."""
  return hashlib.sha256(str(value).encode()).hexdigest()[:12]


def _check_alike(reports: Sequence[dict[str, Any]]) -> None:
  """Checks that the reports of all processes are equal.

  Args:
    reports: The report of each process: its host, and values by name in each
      section of `_ALIKE`.

  Raises:
    ConfigError: Naming the first value that differs, and the remedy.
  """
  first = reports[0]
  for section, remedy in _ALIKE.items():
    for number, other in enumerate(reports):
      for name in sorted(first[section].keys() | other[section].keys()):
        expected, actual = first[section].get(name), other[section].get(name)
        if expected != actual:
          raise ConfigError(
            f"{name} is {actual!r} in process {number} "
            f"({other['host']}) and {expected!r} in process 0 "
            f"({first['host']}): {remedy}"
          )


def _check_workdir(workdir: str, hosts: Sequence[str]) -> None:
  """Checks that all processes write to one directory.

  Args:
    workdir: Directory of the run.
    hosts: Names of the hosts of all processes.

  Raises:
    ConfigError: If one cannot, or does not see what the others write.
  """
  (token, *_) = processes.exchange(uuid.uuid4().hex)
  root = epath.Path(workdir)
  marks = [root / f".preflight-{token}-{i}" for i in range(len(hosts))]
  local_mark = marks[jax.process_index()]
  with processes.shared_errors(hosts):
    try:
      files.write(local_mark, b"")
    except OSError as error:
      raise ConfigError(
        f"--workdir={workdir} cannot be written to: {error}"
      ) from error
  try:
    with processes.shared_errors(hosts):
      unseen = [i for i, mark in enumerate(marks) if not files.exists(mark)]
      if unseen:
        raise ConfigError(
          f"--workdir={workdir} does not show what process {unseen[0]} "
          f"({hosts[unseen[0]]}) writes there: name a directory that all "
          "share, such as one in a bucket"
        )
  finally:
    files.remove(local_mark)


def _check_datasets(runs: Sequence[Run], hosts: Sequence[str]) -> Iterator[str]:
  """Checks that all processes read the same datasets, and have disk space.

  Args:
    runs: The runs, whose datasets are checked.
    hosts: Names of the hosts of all processes.

  Yields:
    A line for each dataset.

  Raises:
    ConfigError: If a dataset does not have the splits, labels or clips of a
      run.
    DataError: If a dataset is missing, differs between processes, or is too
      large for a disk.
  """
  by_dataset: dict[Dataset, list[Any]] = {}
  for _, options, _ in runs:
    by_dataset.setdefault(options.dataset, []).append(options)
  for dataset, options_of_runs in by_dataset.items():
    path, cache = dataset.path, dataset.cache
    with processes.shared_errors(hosts):
      indices = {
        side: _read_index(path, side)
        for side in {options.short_side for options in options_of_runs}
      }
      for options in options_of_runs:
        options.check_dataset(indices[options.short_side])
        if isinstance(options, Supervised):
          options.warn(indices[options.short_side])
      index = indices[options_of_runs[0].short_side]
      # A single process may make this check on another machine than the run's.
      each = mixtures.indices(index)
      datasets = list(zip(mixtures.paths(path), each, strict=True))
      copied = [_copied(dataset, options_of_runs, one) for one in each]
      if len(hosts) > 1:
        for (place, _), part in zip(datasets, copied, strict=True):
          cache_lib.check_space(place, part, cache)
    fingerprints = processes.exchange(index.fingerprint)
    for other, fingerprint in enumerate(fingerprints):
      if fingerprint != fingerprints[0]:
        raise DataError(
          f"config.data.path: {path} holds another dataset in process {other} "
          f"({hosts[other]}, fingerprint {fingerprint}) than in process 0 "
          f"({hosts[0]}, {fingerprints[0]}): copy the same dataset to all hosts"
        )
    for (place, one), part in zip(datasets, copied, strict=True):
      yield _describe(place, one, part, cache, len(hosts))
    described = (
      o.describe_clips(indices[o.short_side]) for o in options_of_runs
    )
    for line in dict.fromkeys(filter(None, described)):
      yield f"clips      {line}"


def _copied(dataset: Dataset, runs: Sequence[Any], index: Index) -> Index:
  """The index of what this process copies of a dataset, if it is in a bucket.

  Args:
    dataset: Where it is.
    runs: Options of the runs that read it.
    index: Its index.
  """
  here = jax.process_index(), jax.process_count()
  shares = [
    run.share(*here) if isinstance(run, Pretrain) else lanes.ALL for run in runs
  ]
  needed = np.any([share.needs(len(index.shards)) for share in shares], axis=0)
  copied = needed & (dataset.access == "copy")
  shards = list(itertools.compress(index.shards, copied))
  return dataclasses.replace(index, shards=shards)


def _describe(
  path: str, index: Index, copied: Index, cache: str, hosts: int
) -> str:
  """A line on a dataset, of which this process copies a part."""
  shards = len(index.shards)
  # Every process reads from all shards, as videos are shuffled globally.
  few = f", fewer than processes: prepare with --shards={hosts}"
  gigabytes = sum(shard.bytes for shard in copied.shards) / 1e9
  all_of_them = "the run copies these" if len(copied.shards) == shards else ""
  how = f"{all_of_them or 'a host copies'} {gigabytes:.3g} GB to {cache}"
  if index.shards and not copied.shards:
    how = "read where it is"
  return (
    f"data       {path}: {index.num_videos:,} videos in {shards} shards"
    f"{few if 0 < shards < hosts else ''}"
    f"{'; ' + how if buckets.is_remote(path) else ''}"
  )


def _read_index(path: str, short_side: int) -> Index:
  """Reads the index of a dataset; an error names the field."""
  try:
    return sources.read_index(path, short_side)
  except DataError as error:
    raise DataError(f"config.data.path: {error}") from error


def _check_checkpoints(
  runs: Sequence[Run], workdir: str, hosts: Sequence[str]
) -> Iterator[str]:
  """Checks that checkpoints exist and fit the backbones of the runs.

  Checkpoints in the run directory are not checked, because the run itself makes
  them.

  Args:
    runs: The runs, whose checkpoints are checked.
    workdir: Directory of the run.
    hosts: Names of the hosts of all processes.

  Yields:
    A line for each checkpoint.

  Raises:
    ConfigError: If a checkpoint is of another network.
    DataError: If there is none, or if it is damaged.
  """
  root = os.fspath(files.absolute(workdir))
  by_checkpoint = {options.checkpoint: options for _, options, _ in runs}
  for reference, options in by_checkpoint.items():
    if not reference or reference.startswith(f"{root}/"):
      continue
    with processes.shared_errors(hosts):
      pretrained.check(reference, options.model)
    yield f"checkpoint {reference}"
