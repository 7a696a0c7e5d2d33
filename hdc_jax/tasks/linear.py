"""Task `linear`: linear probes of a frozen backbone.

The protocol of CVRL: one linear layer is trained on the L2-normalised average
of the last block, of random resized crops. The test averages the probabilities
of several clips, in several crops each, over the video. Choice: instead of
augmenting every training video anew in each epoch, it is augmented
`linear.views` times, and these views are encoded once. So many learning rates
cost as much as one, and a held-out fraction of the training videos chooses
among them. All rates are tested and reported.
"""

import dataclasses
import functools
import logging
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from etils import epath

from hdc_jax import report
from hdc_jax.data.clips import canvas, training_clips
from hdc_jax.data.clips.placement import RandomPlacement
from hdc_jax.errors import ConfigError
from hdc_jax.evaluate import features, pretrained, probe
from hdc_jax.evaluate import trials as trials_lib
from hdc_jax.evaluate.evaluation import Evaluation, Outputs
from hdc_jax.evaluate.features import Features
from hdc_jax.methods import augmentations
from hdc_jax.models.classification import Classification
from hdc_jax.options import Options, option
from hdc_jax.runs import results
from hdc_jax.runs.predictions import PREDICTIONS
from hdc_jax.runs.text_table import format_rows
from hdc_jax.tasks.base import FrozenBackbone, Task, make_stamp
from hdc_jax.tasks.train_and_test import Supervised

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Probes(Options, section="linear"):
  """Options of the training of probes."""

  rates: tuple[float, ...] = option(
    (1.0, 3.2, 10.0, 32.0, 100.0),
    "Learning rates, which are all trained at once.",
    required="name a learning rate, such as (32.0,)",
    above=0,
  )
  epochs: int = option(100, "How often each video is shown.", at_least=1)
  warmup_epochs: int = option(
    5, "Epochs in which the rate rises from 0.", at_least=0
  )
  batch_size: int = option(1024, "Videos per step.", at_least=1)
  views: int = option(
    4,
    "Augmented clips of each video, whose features are computed once.",
    at_least=1,
  )
  held_out: float = option(
    0.1,
    "Fraction of the videos that is held out to choose among the rates.",
    at_least=0,
    below=1,
  )

  def check(self) -> None:
    """Checks that epochs follow the warm-up, and rates can be compared."""
    if self.warmup_epochs >= self.epochs:
      raise ConfigError(
        f"config.linear.warmup_epochs={self.warmup_epochs} must be less than "
        f"config.linear.epochs={self.epochs}: use a shorter warm-up"
      )
    if len(self.rates) > 1 and not self.held_out:
      raise ConfigError(
        f"config.linear.held_out={self.held_out} cannot choose among "
        f"{len(self.rates)} rates: use a fraction of the videos such as 0.1, "
        "or a single rate"
      )


@dataclasses.dataclass(frozen=True)
class Linear(Supervised):
  """Options of task `linear`.

  Attributes:
    frozen: Checkpoint of the backbone to evaluate.
    features: The features on which probes are trained.
    linear: The training of the probes.
  """

  frozen: FrozenBackbone
  features: Features
  linear: Probes

  def __post_init__(self) -> None:
    """Checks that the training views fit their clips."""
    training_clips.check_clips(self.clips, self.model.size)

  @property
  def checkpoint(self) -> str:
    """The run, or one step in it, whose backbone is evaluated."""
    return self.frozen.checkpoint


def run(config: ml_collections.ConfigDict, workdir: str) -> dict[str, Any]:
  """Trains and tests probes, for each label, fold and subset.

  Args:
    config: A config of this task, see `config.default`.
    workdir: Directory of the run. It gets result.json, report.html, and for
      each trial a directory with train.json (the list of its training videos)
      and predictions.npz. If it has this result already, nothing is computed.

  Returns:
    The content of result.json, with the results of every rate in each trial,
    and the means of those that were chosen, in percent, in `rows`: accuracies
    of a label, or the mean average precision of a tag.

  Raises:
    ConfigError: If the config is wrong, or does not fit the data or the
      checkpoint.
    DataError: If the data or the checkpoint is missing or damaged.
  """
  options, run_config = TASK.resolve(config)
  evaluation = options.open()
  source = evaluation.source
  _log.info("%s", options.describe_clips(source.index))
  loaded = pretrained.load(options.checkpoint, evaluation.mesh, options.model)
  stamp = make_stamp("linear", run_config, loaded.name, source)
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
    prober = _Prober(options, evaluation, loaded.variables)
    rows = []
    for trials in _same_splits(plan.write_trials(workdir)):
      rows += prober.measure(trials, workdir)
    chosen = [row for row in rows if row["chosen"]]
    result = results.write_result(
      workdir, stamp | warnings | trials_lib.summary(rows, chosen)
    )
  print(format_rows(result["rows"]))
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


class _Prober:
  """Encodes with a frozen backbone, and trains and tests probes."""

  def __init__(
    self, options: Linear, evaluation: Evaluation, variables: Any
  ) -> None:
    """Makes the encoders that all trials share.

    Args:
      options: Options of the task.
      evaluation: The videos, and which clips of them are tested.
      variables: The variables of the backbone, replicated over devices.
    """
    self._options, self._evaluation = options, evaluation
    self._variables, probing = variables, options.linear
    self._recipe = probe.Recipe(
      probing.rates, probing.epochs, probing.warmup_epochs, probing.batch_size
    )
    describe = features.make_describe(options.model, options.features)
    self._describe = describe
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
      scores = probe.scores(weights["probes"], described, classification)
      return {"scores": scores}

    return features.make_encoder(
      score, self._evaluation.view, self._evaluation.mesh
    )

  def measure(
    self, trials: Sequence[trials_lib.Trial], workdir: str
  ) -> list[dict[str, Any]]:
    """Trains and tests probes, and writes the predictions of the best rates.

    Args:
      trials: Trials that differ only in their subset.
      workdir: Directory of the run.

    Returns:
      The rows of the trials, one for each rate.
    """
    first, rates = trials[0], self._recipe.rates
    sweeps = self._train(trials)
    # The probes of all subsets are tested together.
    probes = jax.tree.map(
      lambda *leaves: jnp.concatenate(leaves), *(s.probes for s in sweeps)
    )
    test = self._evaluation.encode(
      self._scorer(first.kind.classification),
      {"backbone": self._variables, "probes": probes},
      self._evaluation.source.index.split(first.test_split),
      label=first.label,
      title=f"{first.label} of {first.test_split}",
    )
    rows = []
    for i, (trial, sweep) in enumerate(zip(trials, sweeps, strict=True)):
      for j, rate in enumerate(rates):
        scores = test.values["scores"][:, i * len(rates) + j]
        predictions = trial.predictions(test, scores)
        best = j == sweep.best
        if best:
          predictions.save(epath.Path(workdir) / trial.name / PREDICTIONS)
        rows.append(
          trial.row
          | {"name": f"{trial.name}-rate{rate:g}", "rate": f"{rate:g}"}
          | {"chosen": "chosen" if best else ""}
          | _held_out(sweep.accuracies[j])
          | predictions.measures()
        )
    return rows

  def _train(self, trials: Sequence[trials_lib.Trial]) -> list[probe.Sweep]:
    """Trains the probes of every trial, on features that are computed once."""
    first = trials[0]
    videos = np.unique(np.concatenate([trial.train for trial in trials]))
    train = self._features(videos, first)
    truth = first.kind.truth(train, len(first.classes))
    sweeps = []
    for trial in trials:
      chosen = np.isin(train.videos, trial.train)
      sweeps.append(
        probe.sweep(
          train.values["features"][chosen],
          truth[chosen],
          len(first.classes),
          self._recipe,
          self._evaluation.mesh,
          self._options.seed.seed,
          self._options.linear.held_out,
          first.kind,
        )
      )
    return sweeps

  def _features(self, videos: np.ndarray, trial: trials_lib.Trial) -> Outputs:
    """Computes features of augmented clips of training videos.

    Args:
      videos: Record numbers of the videos, int64 [N].
      trial: A trial with the label and the split.

    Returns:
      Outputs with 'features', float32 [P, views, D].
    """
    clips = self._options.clips
    short_side = self._evaluation.source.index.short_side
    window = canvas.side(clips, short_side)
    placement = RandomPlacement(
      clips.frames,
      clips.stride,
      window,
      self._options.linear.views,
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


TASK = Task(
  "linear",
  "linear probe",
  Linear,
  run,
  # Values of CVRL.
  recipe={
    "test.clips": 10,
    "test.crops": "three",
    "features.pool": "average",
    # The official code trains probes on the crops of the pretraining.
    "augment.crops": "areas",
  },
  batches=("test.batch_size",),
)
