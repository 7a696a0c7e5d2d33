"""Task `finetune`: supervised training of a backbone, and its test.

The protocol of HDC: dropout and one linear layer on the pooled last block are
trained together with the backbone, by SGD. The test averages the scores of
non-overlapping clips, in five crops each, over the video. Each fold of the
dataset has a training of its own, in a directory of its own. Without a
checkpoint, the backbone is trained from scratch.
"""

import dataclasses
import functools
import logging
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
from etils import epath

from hdc_jax.data.clips import cutting
from hdc_jax.data.options import Batches, Subset
from hdc_jax.data.store.index import Index
from hdc_jax.distributed import mesh as mesh_lib
from hdc_jax.evaluate import (
  class_activation,
  features,
  pretrained,
  statistics,
)
from hdc_jax.evaluate import trials as trials_lib
from hdc_jax.evaluate.evaluation import Evaluation
from hdc_jax.methods import augmentations, supervised
from hdc_jax.options import Options, RunConfig, option
from hdc_jax.report import page as report
from hdc_jax.runs import results
from hdc_jax.runs.predictions import PREDICTIONS
from hdc_jax.runs.rows import format_rows
from hdc_jax.tasks import costs
from hdc_jax.tasks.base import (
  InitialBackbone,
  Seed,
  Task,
  TrainAndTest,
  make_stamp,
)
from hdc_jax.train import flops, loop
from hdc_jax.train.optimizer import Optim
from hdc_jax.train.step import TrainState
from hdc_jax.train.training import Training, make_training

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Classifier(Options, section="finetune"):
  """Options of the classifier on top of the backbone."""

  dropout: float = option(
    0.5,
    "Fraction of the pooled features that is dropped in training.",
    at_least=0,
    below=1,
  )


@dataclasses.dataclass(frozen=True)
class Finetune(TrainAndTest):
  """Options of task `finetune`.

  Attributes:
    seed: Seed of everything random.
    initial: Checkpoint of the backbone with which the training begins.
    subset: Size and number of random subsets of the training videos.
    batches: Size of the batches, and how many videos may fail to decode.
    augment: The augmentations.
    finetune: The classifier.
    optim: The optimizer.
    train: Length of the run, and intervals of logging and saving.
  """

  seed: Seed
  initial: InitialBackbone
  subset: Subset
  batches: Batches
  augment: augmentations.Scales
  finetune: Classifier
  optim: Optim
  train: loop.Train

  def __post_init__(self) -> None:
    """Checks options of different sections against each other."""
    cutting.check_clips(self.clips, self.model.size)
    self.model.check_clip(self.clips.frames, self.model.size)
    self.optim.check_length(self.train.steps)

  @property
  def checkpoint(self) -> str:
    """The run, or one step in it, to begin with; '' for random weights."""
    return self.initial.checkpoint

  def check_dataset(self, index: Index) -> None:
    """Checks that a dataset has such clips, labels and splits."""
    super().check_dataset(index)
    cutting.check_clips(self.clips, self.model.size, index.short_side)

  def make_training(self, mesh: jax.sharding.Mesh, classes: int) -> Training:
    """Makes the training of a classifier.

    Args:
      mesh: All devices of the run.
      classes: Number of classes.
    """
    objective = supervised.make_objective(
      self.model.make(),
      classes,
      self.finetune.dropout,
      self.augment,
      self.model.size,
    )
    return make_training(
      objective,
      self.optim.make(self.train.steps),
      frames=self.clips.frames,
      size=self.model.size,
      mesh=mesh,
      seed=self.seed.seed,
    )


def run(config: ml_collections.ConfigDict, workdir: str) -> dict[str, Any]:
  """Fine-tunes and tests, for each label, fold and subset in turn.

  Args:
    config: A config of this task, see `config.default`.
    workdir: Directory of the run. It gets result.json, report.html, and for
      each trial a directory with its checkpoints, metrics.jsonl, train.json
      (the list of its training videos), predictions.npz, saliency.png and
      result.json. Trials that are complete are not run again.

  Returns:
    The content of result.json, with the accuracies of each trial and their
    means, in percent, in `rows`.

  Raises:
    ConfigError: If the config is wrong, or does not fit the data, the
      checkpoint or the devices.
    DataError: If the data or a checkpoint is missing or damaged.
    NonFiniteError: If a loss becomes NaN or infinite.
    Preempted: If a signal stopped the run; its state is saved.
  """
  options, run_config = TASK.resolve(config)
  evaluation = options.open()
  source, mesh = evaluation.source, evaluation.mesh
  mesh_lib.check_batch_size(
    "config.data.batch_size", options.batches.batch_size, mesh.devices.size
  )
  loaded = None
  if options.checkpoint:
    loaded = pretrained.load(options.checkpoint, mesh, options.model)
  name = loaded.name if loaded else ""
  stamp = make_stamp("finetune", run_config, name, source)
  results.write_config(workdir, run_config.values)
  trainer = _Trainer(options, evaluation, loaded)
  plan = trials_lib.TrialPlan(
    source,
    options.folds,
    options.tested,
    options.subset,
    options.loading,
    options.seed.seed,
  )
  rows = []
  for trial in plan.write_trials(workdir):
    directory = epath.Path(workdir) / trial.name
    # Of the checkpoint the very step, as its run may go on.
    trial_config = run_config.changed(trial.changes | {"checkpoint": name})
    trial_stamp = stamp | {"config_fingerprint": trial_config.fingerprint}
    result = results.read_result(directory)
    if not trial_stamp.items() <= result.items():
      _log.info(
        "%s: training on %d videos of %s",
        trial.name,
        len(trial.train),
        trial.train_split,
      )
      measured = trainer.measure(trial, trial_config, directory)
      result = results.write_result(directory, trial_stamp | measured)
    rows.append(trial.row | {k: result[k] for k in ("top1", "top5")})
  means = statistics.mean_rows(rows)
  top = {k: (means or rows)[0][k] for k in ("top1", "top5")}
  result = results.write_result(workdir, stamp | top | {"rows": rows + means})
  print(format_rows(result["rows"]))
  print(f"report: {report.write(workdir, runs=[workdir])}")
  return result


class _Trainer:
  """Fine-tunes and tests, with programs compiled once for each label."""

  def __init__(
    self,
    options: Finetune,
    evaluation: Evaluation,
    loaded: pretrained.Pretrained | None,
  ) -> None:
    """Sets what all trials share.

    Args:
      options: Options of the task.
      evaluation: The videos, and which clips of them are tested.
      loaded: The backbone to begin with; None for random weights.
    """
    self._options, self._evaluation, self._loaded = options, evaluation, loaded
    self._networks = functools.cache(self._make_networks)

  def _make_networks(self, classes: int) -> tuple[Training, features.Encoder]:
    """Makes the training, and the encoder of test clips to scores [B, C]."""
    mesh = self._evaluation.mesh
    training = self._options.make_training(mesh, classes)
    compute = supervised.make_scores(training.objective.network)
    view = features.centre_view(self._evaluation.placement.size)
    return training, features.make_encoder(compute, view, mesh)

  def measure(
    self, trial: trials_lib.Trial, config: RunConfig, directory: epath.Path
  ) -> dict[str, float]:
    """Trains and tests a classifier, and writes its predictions.

    Args:
      trial: The label and the videos to train and test on.
      config: The config of the trial.
      directory: The directory of the trial.

    Returns:
      Accuracies in percent, and the speed of the training, see `Meter.speed`.
    """
    options, source = self._options, self._evaluation.source
    training, scorer = self._networks(len(trial.classes))
    cut = cutting.make_cut(
      source,
      options.clips,
      records=trial.train,
      starts=training.objective.starts,
      label=trial.label,
    )
    run = loop.Run(
      str(directory),
      config,
      options.train,
      options.batches,
      options.loading,
      options.seed.seed,
    )
    state, speed = loop.fit(run, training, cut, initial=self._initial(training))
    outputs = self._evaluation.encode(
      scorer,
      {"params": state.params, "batch_stats": state.batch_stats},
      source.index.split(trial.test_split),
      label=trial.label,
      title=f"test of {trial.name}",
    )
    predictions = trial.predictions(outputs, outputs.values["scores"])
    predictions.save(directory / PREDICTIONS)
    layer = jax.device_get(state.params["classifier"])
    class_activation.draw_strips(
      directory / class_activation.SALIENCY,
      class_activation.LinearClassifier(
        training.objective.network.backbone.apply,
        state.backbone(),
        layer["kernel"],
        layer["bias"],
        trial.classes,
      ),
      self._evaluation,
      outputs.segments,
    )
    return predictions.accuracies() | speed

  def _initial(self, training: Training) -> Callable[[], TrainState]:
    """The function that makes the first state, with a run's backbone if any."""

    def initial() -> TrainState:
      state = training.init_state()
      if not self._loaded:
        return state
      # A copy, because the first step donates the memory of its state.
      return state.with_backbone(jax.tree.map(jnp.copy, self._loaded.variables))

    return initial


def cost(options: Finetune, counts: Mapping[str, int]) -> costs.Cost:
  """Estimates the cost of a run: training and test on each fold.

  Args:
    options: Options of the task.
    counts: Number of videos of each split, and 'classes', the number of
      classes.
  """
  folds = options.folds.folds or (1, 2, 3)
  shown = options.clips, options.shown, options.model.size
  training = options.make_training(
    mesh_lib.make_mesh(devices=1), counts["classes"]
  )
  state = jax.eval_shape(training.init)
  variables = {"params": state.params, "batch_stats": state.batch_stats}
  per_clip = flops.count_flops(
    training.objective.network.apply,
    variables,
    costs.clip_shape(*shown, axes=(1, 1)),
  )
  clips = costs.clips_per_video(*shown) * sum(
    counts[f"{options.tested.split}{fold}"] for fold in folds
  )
  test = costs.Cost(clips=clips, flops=clips * per_clip)
  steps = len(folds) * options.train.steps
  batch_size = options.batches.batch_size
  return costs.of_training(training, batch_size, steps) + test


TASK = Task(
  "finetune",
  "fine-tuning",
  Finetune,
  run,
  # Values of HDC. Choice: the paper gives no length; 150 epochs of UCF101 are
  # that of video clip order prediction, whose protocol the paper follows.
  recipe={
    "data.batch_size": 32,
    "optim.lr": 0.01,
    "train.steps": 44_700,
    "test.clips": 0,
    "test.crops": "five",
  },
  batches=("data.batch_size", "test.batch_size"),
  cost=cost,
)
