"""The options of task `finetune`, and the training and test of each trial."""

import dataclasses
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from etils import epath

from hdc_jax.data.clips import order, training_clips
from hdc_jax.data.labels.splits import split_names
from hdc_jax.data.options import Batches
from hdc_jax.data.store.index import Index
from hdc_jax.evaluate import class_activation, features, pretrained
from hdc_jax.evaluate import trials as trials_lib
from hdc_jax.evaluate.evaluation import Evaluation
from hdc_jax.methods import supervised
from hdc_jax.models.classification import ONE_CLASS, Classification
from hdc_jax.options import Options, RunConfig, identity, option
from hdc_jax.runs import results
from hdc_jax.runs.predictions import PREDICTIONS
from hdc_jax.runs.trackers.tracking import Tracking
from hdc_jax.tasks import track
from hdc_jax.tasks.base import InitialBackbone
from hdc_jax.tasks.train_and_test import Supervised
from hdc_jax.train import loop
from hdc_jax.train.optimizer import Optim
from hdc_jax.train.options import Run, Train
from hdc_jax.train.step import TrainState
from hdc_jax.train.training import Training, make_training


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
class Finetune(Supervised):
  """Options of task `finetune`.

  Attributes:
    initial: Checkpoint of the backbone with which the training begins.
    batches: Size of the batches, and how many videos may fail to decode.
    finetune: The classifier.
    optim: The optimizer.
    train: Length of the run, and intervals of logging and saving.
  """

  initial: InitialBackbone
  batches: Batches
  finetune: Classifier
  optim: Optim
  train: Train

  def __post_init__(self) -> None:
    """Checks options of different sections against each other."""
    training_clips.check_clips(self.clips, self.model.size)
    self.model.check_clip(self.clips.frames, self.model.size)
    self.optim.check_length(self.train.steps)

  @property
  def checkpoint(self) -> str:
    """Path of the run or checkpoint to begin with; '' for random weights."""
    return self.initial.checkpoint

  def check_dataset(self, index: Index) -> None:
    """Checks that a dataset has such clips, labels and splits."""
    super().check_dataset(index)
    folds = split_names(self.folds, self.tested.split, index)
    for split, _ in folds.values():
      videos = len(index.split(split))
      order.check_batch_size(
        self.batches.batch_size, videos, f"split {split!r}"
      )

  def make_training(
    self,
    mesh: jax.sharding.Mesh,
    classes: int,
    classification: Classification = ONE_CLASS,
  ) -> Training:
    """Makes the training of a classifier.

    Args:
      mesh: All devices of the run.
      classes: Number of classes.
      classification: The loss, for one class of each video or for any number.
    """
    objective = supervised.make_objective(
      self.model.make(),
      classes,
      self.finetune.dropout,
      self.augment,
      self.model.size,
      classification,
    )
    return make_training(
      objective,
      self.optim.make(self.train.steps),
      frames=self.clips.frames,
      size=self.model.size,
      batch_size=self.batches.batch_size,
      mesh=mesh,
      seed=self.seed.seed,
    )


class TrialRunner:
  """Runs trials, which share compiled programs if they have alike classes."""

  def __init__(
    self,
    options: Finetune,
    evaluation: Evaluation,
    loaded: pretrained.Pretrained | None,
  ) -> None:
    """Keeps what all trials share.

    Args:
      options: Options of the task.
      evaluation: The videos, and which clips of them are tested.
      loaded: The backbone to begin with; None for random weights.
    """
    self._options, self._evaluation, self._loaded = options, evaluation, loaded
    self._networks = functools.cache(self._make_networks)

  def _make_networks(
    self, classes: int, classification: Classification
  ) -> tuple[Training, features.Encoder]:
    """Makes the training, and the encoder of test clips to scores [B, C]."""
    mesh = self._evaluation.mesh
    training = self._options.make_training(mesh, classes, classification)
    compute = supervised.make_scores(training.objective.network, classification)
    view = self._evaluation.view
    return training, features.make_encoder(compute, view, mesh)

  def run(
    self, trial: trials_lib.Trial, config: RunConfig, directory: epath.Path
  ) -> dict[str, float]:
    """Trains and tests a classifier, and writes its predictions.

    Args:
      trial: The label and the videos to train and test on.
      config: The config of the trial.
      directory: The directory of the trial.

    Returns:
      Results in percent, and the speed of the training, see `Meter.speed`.
    """
    options, source = self._options, self._evaluation.source
    order.check_batch_size(
      options.batches.batch_size, len(trial.train), trial.name
    )
    training, scorer = self._networks(
      len(trial.classes), trial.kind.classification
    )
    cut = training_clips.make_cut(
      source,
      options.clips,
      records=trial.train,
      starts=training.objective.starts,
      label=trial.label,
    )
    loop_run = Run(
      str(directory),
      config,
      options.train,
      options.batches,
      options.loading,
      options.seed.seed,
    )
    values = identity.flatten(config.values)
    with Tracking(directory, options.train.trackers, values) as tracking:
      state, speed = loop.fit(
        loop_run,
        training,
        cut,
        initial=self._initial(training),
        tracking=tracking,
      )
      measured = self._test(trial, training, scorer, state, directory)
      tracking.scalars(
        options.train.steps, {f"test/{k}": v for k, v in measured.items()}
      )
      with results.only_warning("the report of trackers"):
        track.show_report(tracking, options.train.steps, directory)
    return measured | speed

  def _test(
    self,
    trial: trials_lib.Trial,
    training: Training,
    scorer: features.Encoder,
    state: TrainState,
    directory: epath.Path,
  ) -> dict[str, float]:
    """Tests a classifier, writes its predictions, and draws where it looks.

    Args:
      trial: The label and the videos to test on.
      training: The training of the classifier.
      scorer: The encoder of test clips to scores.
      state: The state after the training.
      directory: The directory of the trial.

    Returns:
      Results in percent.
    """
    source = self._evaluation.source
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
      outputs,
    )
    return predictions.measures()

  def _initial(self, training: Training) -> Callable[[], TrainState]:
    """The function that makes the first state, with any loaded backbone."""

    def initial() -> TrainState:
      state = training.init_state()
      if not self._loaded:
        return state
      # A copy, because the first step donates the memory of its state.
      return state.with_backbone(jax.tree.map(jnp.copy, self._loaded.variables))

    return initial
