"""The record of a task, and the options that several tasks share."""

import abc
import dataclasses
import functools
import os
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import ml_collections
from etils import epath

from hdc_jax.data import sources
from hdc_jax.data.clips import canvas
from hdc_jax.data.clips.placement import make_placement
from hdc_jax.data.options import (
  Clips,
  Dataset,
  Loading,
  ShownClips,
)
from hdc_jax.data.store.index import Index
from hdc_jax.distributed import processes
from hdc_jax.errors import ConfigError
from hdc_jax.evaluate.evaluation import Evaluation
from hdc_jax.models import BACKBONES, BackboneOptions
from hdc_jax.options import Options, RunConfig, Schema, Variant, option
from hdc_jax.runs import results
from hdc_jax.tasks.costs import Cost


@dataclasses.dataclass(frozen=True)
class Seed(Options):
  """The seed of everything random."""

  seed: int = option(
    0,
    "Seed of initial weights, data order, augmentations and random subsets.",
    at_least=0,
    below=2**31,
  )


@dataclasses.dataclass(frozen=True)
class FrozenBackbone(Options):
  """The checkpoint of the backbone to evaluate."""

  checkpoint: str = option(
    "",
    "Directory of a run, or one of its checkpoints (RUN/checkpoints/N, or "
    "RUN/checkpoints/best), whose backbone is evaluated.",
    required="name the directory of a run",
  )


@dataclasses.dataclass(frozen=True)
class InitialBackbone(Options):
  """The checkpoint of the backbone with which a training begins."""

  checkpoint: str = option(
    "",
    "Directory of a run, or one of its checkpoints (RUN/checkpoints/N, or "
    "RUN/checkpoints/best), with whose backbone the training begins; empty: "
    "random weights.",
  )


@dataclasses.dataclass(frozen=True)
class EvaluationOptions(abc.ABC):
  """Options of every task that evaluates a network on videos.

  Attributes:
    dataset: Where the videos are.
    clips: Which frames make a clip.
    loading: Threads and processes that decode.
    shown: Which clips are evaluated, and in which crops.
    model: The backbone.
  """

  dataset: Dataset
  clips: Clips
  loading: Loading
  shown: ShownClips
  model: Annotated[BackboneOptions, Variant("model", BACKBONES)]

  def open(self) -> Evaluation:
    """Opens the dataset for an evaluation on all devices.

    Raises:
      ConfigError: If the dataset does not have such clips, splits or labels.
      DataError: If there is no such dataset, or if it is damaged.
    """
    evaluation = Evaluation.open(
      self.dataset, self.clips, self.loading, self.shown, self.model.size
    )
    self.check_dataset(evaluation.source.index)
    return evaluation

  @property
  @abc.abstractmethod
  def checkpoint(self) -> str:
    """Path of the run or checkpoint whose backbone is used; '' for none."""

  @property
  def short_side(self) -> int:
    """The short side to which original files are scaled, in pixels."""
    size, test_size = self.model.size, self.shown.size
    return canvas.short_side_for(self.clips, size, test_size)

  def describe_clips(self, index: Index) -> str:
    """Says what clips show, for the log; '' if there is nothing to say."""
    del index
    return ""

  def check_dataset(self, index: Index) -> None:
    """Checks that a dataset has the videos and clips that the options ask for.

    Args:
      index: The index of the dataset.

    Raises:
      ConfigError, DataError: If it does not.
    """
    make_placement(self.clips, self.shown, self.model.size, index.short_side)


@dataclasses.dataclass(frozen=True)
class Task:
  """A task of `python -m hdc_jax.main`.

  Attributes:
    name: Name of the task in configs.
    title: Name of the task in reports.
    options: The dataclass of its options, see `options.Schema`.
    run: Runs the task, given a config and the run directory; returns the
      content of result.json.
    recipe: Values of fields, by dotted name, with which the papers run the
      task, where they differ from the defaults.
    batches: Dotted names of the fields that are sizes of batches, which must be
      multiples of the number of devices.
    cost: Estimates the cost of a run from its options and the number of videos
      of each split of a dataset; None if there is no estimate.
    configs: Other tasks, by section. Such a section of this task's config holds
      a whole config of that task.
  """

  name: str
  title: str
  options: type
  run: Callable[[ml_collections.ConfigDict, str], dict[str, Any]]
  recipe: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  batches: tuple[str, ...] = ()
  cost: Callable[[Any, Mapping[str, int]], Cost] | None = None
  configs: Mapping[str, "Task"] = dataclasses.field(default_factory=dict)

  @functools.cached_property
  def schema(self) -> Schema:
    """The fields that configs of the task have."""
    return Schema(
      self.options, {name: task.schema for name, task in self.configs.items()}
    )

  def resolve(self, config: ml_collections.ConfigDict) -> tuple[Any, RunConfig]:
    """Makes the options of a config, and checks them.

    Args:
      config: A config of this task.

    Returns:
      The options, and the config to save with the run.

    Raises:
      ConfigError: Naming the field that is wrong.
    """
    values = config.to_dict()
    options = self.schema.build(values)
    return options, self.run_config(values)

  def check_workdir(self, workdir: epath.PathLike) -> None:
    """Checks that a directory does not hold the run of another task.

    Args:
      workdir: Directory of the run.

    Raises:
      ConfigError: If it does, as its files would be overwritten.
      DataError: If its config.json or result.json is damaged.
    """
    owner = results.read_owner(workdir)
    if owner not in ("", self.name):
      raise ConfigError(
        f"--workdir={os.fspath(workdir)} holds a run of task {owner}, which "
        f"task {self.name} would overwrite: name another directory"
      )

  def execute(
    self, config: ml_collections.ConfigDict, workdir: epath.PathLike
  ) -> dict[str, Any]:
    """Runs the task in a directory that no other run uses.

    Args:
      config: A config of this task.
      workdir: Directory of the run.

    Returns:
      The content of result.json.

    Raises:
      ConfigError: If the directory is in use, or holds the run of another task;
        or for the reasons of `run`.
    """
    self.check_workdir(workdir)
    with processes.locked(workdir, "--workdir"):
      return self.run(config, os.fspath(workdir))

  def run_config(self, values: Mapping[str, Any]) -> RunConfig:
    """The config of a run.

    Args:
      values: Values of some or all fields, by section. The other fields have
        their defaults.
    """
    return RunConfig(self.schema.fit(values), self.schema)


def make_stamp(
  task: str, config: RunConfig, checkpoint: str, source: sources.Source
) -> dict[str, Any]:
  """Makes the entries of result.json that say what it was computed from.

  A result with the same entries need not be computed again.

  Args:
    task: Name of the task.
    config: The config of the run.
    checkpoint: Path of the checkpoint whose backbone is evaluated; '' for none.
    source: The videos.
  """
  return {
    "task": task,
    "checkpoint": checkpoint,
    "config_fingerprint": config.fingerprint,
    "data_fingerprint": source.index.fingerprint,
  }
