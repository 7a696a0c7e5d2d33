"""What `import hdc_jax` offers: encode videos, prepare datasets, run tasks.

The functions take the options of the commands, make the same checks, write the
same files and return what is in them. Where a command ends with an exit code,
they raise the error of `errors` that has it. They can be called any number of
times in one process.
"""

import contextlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from etils import epath

from hdc_jax.config import flags
from hdc_jax.convert import exported
from hdc_jax.data.store.index import INDEX
from hdc_jax.errors import ConfigError
from hdc_jax.evaluate import encoder
from hdc_jax.evaluate.encoder import Encoder
from hdc_jax.evaluate.timed_features import TimedFeatures
from hdc_jax.options.schema import leaves
from hdc_jax.prepare import command
from hdc_jax.runtime import commands, files, logs
from hdc_jax.tasks import execution

__all__ = [
  "Encoder",
  "TimedFeatures",
  "evaluate",
  "load",
  "prepare",
  "pretrain",
]

_Path = str | os.PathLike[str]


def load(path: _Path) -> Encoder:
  """Loads an encoder, with which to encode videos.

  Args:
    path: Directory of a run (its newest checkpoint is meant); one step in it,
      RUN/checkpoints/N or RUN/checkpoints/best; or what `python -m
      hdc_jax.convert export` has written: a .safetensors file, or a folder in
      Hugging Face's layout.

  Raises:
    DataError: If there is no such encoder, or if it is damaged.
    StorageError: If a bucket fails.
  """
  weights = epath.Path(path) / exported.WEIGHTS
  if os.fspath(path).endswith(exported.SUFFIX):
    return exported.load(path)
  if files.exists(weights):
    return exported.load(weights)
  return encoder.load(path)


def prepare(
  dataset: str,
  output: _Path,
  *,
  runner_options: Sequence[str] = (),
  quiet: bool = False,
  **options: Any,
) -> dict[str, Any]:
  """Converts video files into a dataset, as `python -m hdc_jax.prepare` does.

  Args:
    dataset: Layout of the files: 'folder', 'table', 'ucf101', …
    output: Directory of the dataset. What is finished there is not made again.
    runner_options: Options of the Beam runner, which the command takes behind
      '--'.
    quiet: Whether to show neither progress nor the summary.
    **options: The other options of the command: `source="videos"`,
      `short_side=256`, `deinterlace=True`, `table=["train.csv"]`, …

  Returns:
    The content of the dataset's index.json: splits, labels, shards, and the
    videos that were left out.

  Raises:
    ConfigError: If an option is unknown or wrong.
    DataError: If files of the dataset are missing, or no video can be used.
    StorageError: If a bucket fails.
    OSError: If the disk is full or cannot be written.
  """
  given = commands.arguments({"dataset": dataset, "output": output} | options)
  parsed = command.parse([*given, "--", *runner_options])
  with _shown(quiet):
    command.run(parsed)
  return json.loads(files.read_text(epath.Path(parsed.output) / INDEX))


def pretrain(
  config: str,
  workdir: _Path,
  fields: Mapping[str, Any] | None = None,
  *,
  quiet: bool = False,
  **sections: Any,
) -> dict[str, Any]:
  """Trains a network without labels, as `python -m hdc_jax.main` does.

  Args:
    config: A config file, or the name of one of this package's, as `--config`
      takes it: 'r3d18', 'configs/tiny.py:method=cvrl'.
    workdir: Directory of the run; a run that is there already is resumed.
    fields: Values of fields by dotted name: {"data.path": "data"}.
    quiet: Whether to show neither log lines nor progress.
    **sections: Values of fields by section: `data={"path": "data"}`, `seed=1`.

  Returns:
    The content of the run's result.json.

  Raises:
    ConfigError: If the config is wrong, or of another task.
    HdcError: Another of its subclasses, see `errors`, if something is wrong.
      Ctrl-C saves the state and raises `Preempted`.
  """
  return _run(config, workdir, fields, sections, quiet, pretraining=True)


def evaluate(
  config: str,
  workdir: _Path,
  fields: Mapping[str, Any] | None = None,
  *,
  quiet: bool = False,
  **sections: Any,
) -> dict[str, Any]:
  """Runs another task than pretraining, as `python -m hdc_jax.main` does.

  Args:
    config: See `pretrain`; it names the task: 'r3d18:task=retrieve'. Tasks are
      finetune, linear, attentive, retrieve, bias, embed, preview and tables.
    workdir: Directory of the run.
    fields: Values of fields by dotted name: {"checkpoint": "runs/first"}.
    quiet: Whether to show neither log lines nor progress nor results.
    **sections: Values of fields by section: `data={"path": "data"}`.

  Returns:
    The content of the run's result.json; tables are a list under 'rows'.

  Raises:
    ConfigError: If the config is wrong, or of task pretrain.
    HdcError: Another of its subclasses, see `errors`, if something is wrong.
  """
  return _run(config, workdir, fields, sections, quiet, pretraining=False)


def _run(
  config: str,
  workdir: _Path,
  fields: Mapping[str, Any] | None,
  sections: Mapping[str, Any],
  quiet: bool,
  *,
  pretraining: bool,
) -> dict[str, Any]:
  """Runs the task of a config; `pretraining` says which task it must be."""
  given = [".".join(path) for path, _ in leaves(fields or {})]
  twice = {".".join(path) for path, _ in leaves(sections)} & set(given)
  if twice:
    raise ConfigError(f"config.{min(twice)} is given twice: name it once")
  arguments = [*flags.arguments(fields or {}), *flags.arguments(sections)]
  made = flags.read_config(config, arguments)
  if (made.get("task") == "pretrain") != pretraining:
    other = "hdc_jax.evaluate" if pretraining else "hdc_jax.pretrain"
    raise ConfigError(
      f"--config={config} is of task {made.get('task')}: call {other}"
      + ("" if pretraining else f", or name a task: {config}:task=retrieve")
    )
  directory = os.fspath(workdir)
  with _shown(quiet):
    execution.check(made, directory)
    return execution.execute(made, directory)


@contextlib.contextmanager
def _shown(quiet: bool) -> Iterator[None]:
  """Shows log lines, progress and results as commands do, or none of them."""
  with logs.silent() if quiet else logs.shown(debug=False):
    yield
