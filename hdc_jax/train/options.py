"""What a training is asked to do: its options, and the setup of a run."""

import dataclasses

from hdc_jax.data.options import Batches, Loading
from hdc_jax.errors import ConfigError
from hdc_jax.options import Options, RunConfig, identity, option
from hdc_jax.runs import trackers
from hdc_jax.train import skipping


@dataclasses.dataclass(frozen=True)
class Train(Options, section="train"):
  """Options of the training loop."""

  # The paper gives no length. Choice: 100 epochs of the 240,000 videos of
  # Kinetics-400.
  steps: int = option(187_500, "Length of the run in steps.", at_least=1)
  log_every: int = option(
    50, "Steps from one line of metrics to the next.", at_least=1
  )
  checkpoint_every: int = option(
    2_000, "Steps from one checkpoint to the next.", at_least=1
  )
  keep_checkpoints: int = option(
    2, "How many of the newest checkpoints to keep.", at_least=1
  )
  patience: float = option(
    1800,
    "Seconds that a step or a measurement of the online probe may take before "
    "the run counts as hung and ends; 0: no limit.",
    at_least=0,
  )
  max_skipped: int = option(
    10,
    "How many steps in a row may be skipped because their loss, gradient or "
    "update is not finite, before the run ends with exit code 4.",
    at_least=0,
    before=10,  # Runs that ended well have skipped none.
  )
  skip_steps: str = option(
    "",
    "Steps whose batch is passed over, such as 70,100:120; empty: none. May "
    "be changed when a run is resumed.",
    before="",
  )
  resume_with: tuple[str, ...] = option(
    (),
    "Fields that may have another value than in the checkpoint from which the "
    "run is resumed; from there on, the new one counts.",
    choices=identity.CHANGEABLE,
    before=(),
  )
  profile: tuple[int, ...] = option(
    (),
    "First and last step of a trace of the device and the host, which goes to "
    "RUN/profile; empty: none.",
    at_least=1,
    lengths=(0, 2),
    before=(),
  )
  trackers: tuple[str, ...] = option(
    ("tensorboard",),
    "What shows the curves and pictures of the run besides the report: "
    "tensorboard, wandb or trackio, or several; (): none. Keys and tokens are "
    "never fields: see docs/trackers.md.",
    choices=trackers.TRACKERS,
    before=("tensorboard",),
  )

  def check(self) -> None:
    """Checks the steps that are named, and that all trackers can be used."""
    trackers.check("config.train.trackers", self.trackers)
    if self.profile and not self.profile[0] <= self.profile[1] <= self.steps:
      raise ConfigError(
        f"config.train.profile={self.profile}: name the first and the last "
        f"step to trace, of {self.steps}"
      )
    if self.passed_over.last > self.steps:
      raise ConfigError(
        f"config.train.skip_steps={self.skip_steps!r}: the run has "
        f"config.train.steps={self.steps} steps: name some of these"
      )

  @property
  def passed_over(self) -> skipping.NamedSteps:
    """The steps whose batch is passed over."""
    return skipping.NamedSteps.parse(self.skip_steps)

  def logged(self, step: int) -> bool:
    """Whether the metrics of a step are logged.

    Args:
      step: Number of the step, from 1 on.
    """
    return step % self.log_every == 0 or step == self.steps


@dataclasses.dataclass(frozen=True)
class Pretraining(Train):
  """Options of the training loop that have an effect without labels.

  Choice: The untrained network cannot be the best checkpoint, as a run could
  otherwise end without one.
  """

  keep_best: str = option(
    "",
    "Measurement of the online probe by which the best checkpoint is kept "
    "besides the newest ones, such as probe/LABEL/block5/knn; empty: none.",
    before="",
  )
  stop_on_collapse: bool = option(
    False,
    "Whether a run ends, with exit code 9, when its network does not learn: "
    "its embeddings collapse, or the loss stays that of chance.",
    before=False,
  )
  microbatches: int = option(
    1,
    "Number of parts in which each device encodes its videos of a batch, for "
    "batches whose activations exceed its memory. The loss is that of the "
    "whole batch; a step takes a second forward pass. Batch norm in a backbone "
    "takes its statistics over a part.",
    at_least=1,
    before=1,
  )


@dataclasses.dataclass(frozen=True)
class Run:
  """The setup of a training run: its length, batches and directory.

  Attributes:
    workdir: Directory that gets checkpoints/, metrics.jsonl and config.json.
    config: The config that is saved with every checkpoint.
    train: Length of the run, and intervals of logging and saving.
    batches: Size of the batches, and how many videos may fail to decode.
    loading: Threads and processes that decode.
    seed: Seed of the order of the videos and of the clips cut from them.
    stop_on_collapse: Whether the run ends when its network does not learn.
    lanes: Number of lanes of each batch, see `data.lanes`.
  """

  workdir: str
  config: RunConfig
  train: Train
  batches: Batches
  loading: Loading
  seed: int
  stop_on_collapse: bool = False
  lanes: int = 1
