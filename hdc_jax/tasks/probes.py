"""What the tasks that train probes of a frozen backbone have in common.

Features of every training video are computed once, for `views` augmented clips
of it. All settings are trained at once on these features, and a held-out
fraction of the training videos chooses among them. All are tested and reported.
"""

import abc
import dataclasses
import functools
import logging
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from etils import epath

from hdc_jax import report
from hdc_jax.data.clips import canvas, training_clips
from hdc_jax.data.clips.placement import RandomPlacement
from hdc_jax.errors import ConfigError
from hdc_jax.evaluate import features, pretrained, sweeps
from hdc_jax.evaluate import trials as trials_lib
from hdc_jax.evaluate.evaluation import Evaluation, Outputs
from hdc_jax.methods import augmentations
from hdc_jax.models.classification import Classification
from hdc_jax.options import Options, RunConfig
from hdc_jax.runs import results
from hdc_jax.runs.predictions import PREDICTIONS
from hdc_jax.runs.text_table import format_result
from hdc_jax.tasks.base import FrozenBackbone, make_stamp
from hdc_jax.tasks.train_and_test import Supervised

_log = logging.getLogger(__name__)

# A traceable function of the backbone's variables and clips [B, T, S, S, 3] to
# features [B, ...].
Describe = Callable[[Any, jax.Array], jax.Array]


@dataclasses.dataclass(frozen=True)
class Sweep(Options, abc.ABC):
  """What the options of the training of all probes have in common."""

  rates: tuple[float, ...]
  epochs: int
  warmup_epochs: int
  batch_size: int
  views: int
  held_out: float

  @abc.abstractmethod
  def recipe(self) -> sweeps.Recipe:
    """The probes, and how they are trained."""

  def check(self) -> None:
    """Checks that epochs follow the warm-up, and settings can be compared."""
    warmup, epochs = map(self.full_name, ("warmup_epochs", "epochs"))
    if self.warmup_epochs >= self.epochs:
      raise ConfigError(
        f"{warmup}={self.warmup_epochs} must be less than "
        f"{epochs}={self.epochs}: use a shorter warm-up"
      )
    count = len(self.recipe().settings)
    if count > 1 and not self.held_out:
      section = f"config.{self.section}"
      raise ConfigError(sweeps.cannot_choose(section, self.held_out, count))


@dataclasses.dataclass(frozen=True)
class Probed(Supervised, abc.ABC):
  """What the options of tasks that train probes have in common.

  Attributes:
    frozen: Checkpoint of the backbone to evaluate.
  """

  frozen: FrozenBackbone

  def __post_init__(self) -> None:
    """Checks that the training views fit their clips."""
    training_clips.check_clips(self.clips, self.model.size)

  @property
  def checkpoint(self) -> str:
    """The run, or one step in it, whose backbone is evaluated."""
    return self.frozen.checkpoint

  @property
  @abc.abstractmethod
  def sweep(self) -> Sweep:
    """Options of the training of the probes."""

  @abc.abstractmethod
  def make_describe(self) -> Describe:
    """Makes the function that computes the features of clips."""


def run(
  task: str, options: Probed, run_config: RunConfig, workdir: str
) -> dict[str, Any]:
  """Trains and tests probes, for each label, fold and subset.

  Args:
    task: Name of the task.
    options: Options of the task.
    run_config: The config to save with the run.
    workdir: Directory of the run. It gets result.json, report.html, and for
      each trial a directory with train.json (the list of its training videos)
      and predictions.npz. If it has this result already, nothing is computed.

  Returns:
    The content of result.json, with the results of every setting in each trial,
    and the means of those that were chosen, in percent, in `rows`: accuracies
    of a label, or the mean average precision of a tag.

  Raises:
    ConfigError: If the config is wrong, or does not fit the data or the
      checkpoint.
    DataError: If the data or the checkpoint is missing or damaged.
  """
  evaluation = options.open()
  source = evaluation.source
  _log.info("%s", options.describe_clips(source.index))
  loaded = pretrained.load(options.checkpoint, evaluation.mesh, options.model)
  stamp = make_stamp(task, run_config, loaded.name, source)
  warnings = options.warn(source.index)
  result = results.read_result(workdir)
  if stamp.items() <= result.items():
    _log.info("%s has this result already", workdir)
  else:
    results.write_config(workdir, run_config.values)
    plan = trials_lib.TrialPlan(
      source,
      options.folds,
      options.tested,
      options.subset,
      options.loading,
      options.seed.seed,
    )
    prober = Prober(options, evaluation, loaded.variables)
    rows = []
    for trials in _same_splits(plan.write_trials(workdir)):
      rows += prober.measure(trials, workdir)
    chosen = [row for row in rows if row["chosen"]]
    result = results.write_result(
      workdir,
      stamp
      | warnings
      | evaluation.omissions
      | trials_lib.summary(rows, chosen),
    )
  print(format_result(result))
  print(f"report: {report.write(workdir, runs=[workdir])}")
  return result


def _same_splits(
  trials: Sequence[trials_lib.Trial],
) -> list[list[trials_lib.Trial]]:
  """Groups trials by label and fold, which share features."""
  groups: dict[tuple[str, str], list[trials_lib.Trial]] = {}
  for trial in trials:
    groups.setdefault((trial.label, trial.fold), []).append(trial)
  return list(groups.values())


class Prober:
  """Encodes with a frozen backbone, and trains and tests probes."""

  def __init__(
    self, options: Probed, evaluation: Evaluation, variables: Any
  ) -> None:
    """Makes the encoders that all trials share.

    Args:
      options: Options of the task.
      evaluation: The videos, and which clips of them are tested.
      variables: The variables of the backbone, replicated over devices.
    """
    self._options, self._evaluation = options, evaluation
    self._variables, self._recipe = variables, options.sweep.recipe()
    self._describe = describe = options.make_describe()
    self._encoder = features.make_encoder(
      lambda *arguments: {"features": describe(*arguments)},
      augmentations.classification_view(options.augment, options.model.size),
      evaluation.mesh,
      options.seed.seed,
    )
    self._scorer = functools.cache(self._make_scorer)

  def _make_scorer(self, classification: Classification) -> features.Encoder:
    """Makes the encoder of test clips to scores [B, R, C] of R probes."""

    def score(weights: Any, clips: jax.Array) -> dict[str, jax.Array]:
      described = self._describe(weights["backbone"], clips)
      probes = weights["probes"]
      return {"scores": self._recipe.scores(probes, described, classification)}

    return features.make_encoder(
      score, self._evaluation.view, self._evaluation.mesh
    )

  def measure(
    self, trials: Sequence[trials_lib.Trial], workdir: str
  ) -> list[dict[str, Any]]:
    """Trains and tests probes, and writes the predictions of the best ones.

    Args:
      trials: Trials that differ only in their subset.
      workdir: Directory of the run.

    Returns:
      The rows of the trials, one for each setting.
    """
    first, settings = trials[0], self._recipe.settings
    swept = self._train(trials)
    # The probes of all subsets are tested together.
    probes = jax.tree.map(
      lambda *leaves: jnp.concatenate(leaves), *(s.probes for s in swept)
    )
    test = self._evaluation.encode(
      self._scorer(first.kind.classification),
      {"backbone": self._variables, "probes": probes},
      self._evaluation.source.index.split(first.test_split),
      label=first.label,
      title=f"{first.label} of {first.test_split}",
    )
    rows = []
    for i, (trial, sweep) in enumerate(zip(trials, swept, strict=True)):
      for j, setting in enumerate(settings):
        scores = test.values["scores"][:, i * len(settings) + j]
        predictions = trial.predictions(test, scores)
        best = j == sweep.best
        if best:
          predictions.save(epath.Path(workdir) / trial.name / PREDICTIONS)
        rows.append(
          trial.row
          | self._row(trial, setting)
          | {"chosen": "chosen" if best else ""}
          | _held_out(sweep.accuracies[j])
          | predictions.measures()
        )
    return rows

  def _row(
    self, trial: trials_lib.Trial, setting: Sequence[float]
  ) -> dict[str, str]:
    """The columns that say which setting a row is of, and its name."""
    pairs = zip(self._recipe.names, setting, strict=True)
    values = {name: f"{value:g}" for name, value in pairs}
    words = [f"{name}{value}" for name, value in values.items()]
    return {"name": "-".join([trial.name, *words])} | values

  def _train(self, trials: Sequence[trials_lib.Trial]) -> list[sweeps.Sweep]:
    """Trains the probes of every trial, on features that are computed once."""
    first = trials[0]
    videos = np.unique(np.concatenate([trial.train for trial in trials]))
    train = self._features(videos, first)
    truth = first.kind.truth(train, len(first.classes))
    swept = []
    for trial in trials:
      chosen = np.isin(train.videos, trial.train)
      swept.append(
        sweeps.sweep(
          train.values["features"][chosen],
          truth[chosen],
          len(first.classes),
          self._recipe,
          self._evaluation.mesh,
          self._options.seed.seed,
          self._options.sweep.held_out,
          first.kind,
        )
      )
    return swept

  def _features(self, videos: np.ndarray, trial: trials_lib.Trial) -> Outputs:
    """Computes features of augmented clips of training videos.

    Args:
      videos: Record numbers of the videos, int64 [N].
      trial: A trial with the label and the split.

    Returns:
      Outputs with 'features', [P, views, ...].
    """
    clips = self._options.clips
    short_side = self._evaluation.source.index.short_side
    window = canvas.side(clips, short_side)
    placement = RandomPlacement(
      clips.frames,
      clips.stride,
      window,
      self._options.sweep.views,
      self._options.seed.seed,
      padded=window > short_side,
      fps=clips.fps,
    )
    return self._evaluation.encode(
      self._encoder,
      self._variables,
      videos,
      label=trial.label,
      placement=placement,
      average=False,
      title=f"{trial.label} of {trial.train_split}",
    )


def _held_out(accuracy: float) -> dict[str, float]:
  """The column of the held-out accuracy; none if it is NaN, as JSON has none.

  Args:
    accuracy: Accuracy on held-out videos in percent; NaN without such videos.
  """
  return {"held_out": float(accuracy)} if np.isfinite(accuracy) else {}
