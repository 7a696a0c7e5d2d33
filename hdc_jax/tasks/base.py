"""What a task is: a record that main, preflight and the launchers read."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import ml_collections

from hdc_jax.data import sources
from hdc_jax.data.clips.placement import make_placement
from hdc_jax.data.labels.splits import chosen_labels, split_names
from hdc_jax.data.options import (
  Clips,
  Dataset,
  Folds,
  Loading,
  ShownClips,
  Tested,
)
from hdc_jax.data.store.index import Index
from hdc_jax.evaluate.evaluation import Evaluation
from hdc_jax.models import BACKBONES, BackboneOptions
from hdc_jax.options import Options, RunConfig, Schema, Variant, option
from hdc_jax.tasks.costs import Cost


@dataclasses.dataclass(frozen=True)
class Seed(Options):
  """What all that is random depends on."""

  seed: int = option(
    0,
    "Seed of initial weights, data order, augmentations and random subsets.",
    at_least=0,
    below=2**31,
  )


@dataclasses.dataclass(frozen=True)
class Frozen(Options):
  """The backbone to evaluate."""

  checkpoint: str = option(
    "",
    "Run directory, or one step in it, whose backbone to use.",
    required="name the directory of a run",
  )


@dataclasses.dataclass(frozen=True)
class Initial(Options):
  """The backbone to begin with."""

  checkpoint: str = option(
    "",
    "Run directory, or one step in it, whose backbone to begin with; empty: "
    "random weights.",
  )


@dataclasses.dataclass(frozen=True)
class Evaluated:
  """Options of every task that evaluates a network on videos."""

  dataset: Dataset
  clips: Clips
  loading: Loading
  shown: ShownClips
  model: Annotated[BackboneOptions, Variant("model", BACKBONES)]

  def open(self) -> Evaluation:
    """Opens the dataset, to be seen by all devices.

    Raises:
      ConfigError, DataError: If there is no such dataset, or if it does not
        have such clips.
    """
    evaluation = Evaluation.open(
      self.dataset, self.clips, self.loading, self.shown, self.model.size
    )
    self.check_dataset(evaluation.source.index)
    return evaluation

  @property
  def checkpoint(self) -> str:
    """The run whose backbone is used; '' for random weights."""
    raise NotImplementedError

  def check_dataset(self, index: Index) -> None:
    """Checks that a dataset has the videos and clips that are asked for.

    Args:
      index: The index of the dataset.

    Raises:
      ConfigError, DataError: If it does not.
    """
    make_placement(self.clips, self.shown, self.model.size, index.short_side)


@dataclasses.dataclass(frozen=True)
class Divided(Evaluated):
  """Options of the tasks that learn or search one split, and test another."""

  folds: Folds
  tested: Tested

  def check_dataset(self, index: Index) -> None:
    """Checks that a dataset has the videos and clips that are asked for."""
    super().check_dataset(index)
    chosen_labels(self.folds, index)
    split_names(self.folds, self.tested.split, index)


@dataclasses.dataclass(frozen=True)
class Task:
  """One thing that `python -m hdc_jax.main` can do.

  Attributes:
    name: What a config calls it.
    title: What a report calls it.
    options: The dataclass of its options, see `options.Schema`.
    run: Runs it, given a config and the run directory; returns what
      result.json holds.
    recipe: Values of fields, by dotted name, with which the papers run it,
      where they differ from the defaults.
    batches: Fields whose values must be multiples of the number of devices.
    cost: Reckons what a run takes from its options and the number of videos of
      each split of a dataset; None where it is not known.
    configs: Tasks whose whole configs are sections of this one's, by name.
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
    """The fields that its configs have."""
    return Schema(
      self.options, {name: task.schema for name, task in self.configs.items()}
    )

  def resolve(self, config: ml_collections.ConfigDict) -> tuple[Any, RunConfig]:
    """The options that a config describes, checked, and the config to save.

    Args:
      config: A config of this task.

    Raises:
      ConfigError: Naming the field that is wrong.
    """
    values = config.to_dict()
    options = self.schema.build(values)
    return options, self.run_config(values)

  def run_config(self, values: Mapping[str, Any]) -> RunConfig:
    """The config of these values by section; the others have their defaults."""
    return RunConfig(self.schema.fit(values), self.schema)


def stamp(
  task: str, config: RunConfig, checkpoint: str, source: sources.Source
) -> dict[str, Any]:
  """What tells a result from that of another config, checkpoint or dataset.

  Args:
    task: Name of the task.
    config: The config of the run.
    checkpoint: Path of the checkpoint whose backbone is evaluated, or ''.
    source: The videos.
  """
  return {
    "task": task,
    "checkpoint": checkpoint,
    "config_fingerprint": config.fingerprint,
    "data_fingerprint": source.index.fingerprint,
  }
