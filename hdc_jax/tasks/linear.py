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
from typing import Any

import ml_collections

from hdc_jax.evaluate import features, probe
from hdc_jax.evaluate.features import Features
from hdc_jax.options import option
from hdc_jax.tasks import probes
from hdc_jax.tasks.base import Task


@dataclasses.dataclass(frozen=True)
class Probes(probes.Sweep, section="linear"):
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

  def recipe(self) -> probe.Recipe:
    """The probes, and how they are trained."""
    return probe.Recipe(
      self.rates, self.epochs, self.warmup_epochs, self.batch_size
    )


@dataclasses.dataclass(frozen=True)
class Linear(probes.Probed):
  """Options of task `linear`.

  Attributes:
    features: The features on which probes are trained.
    linear: The training of the probes.
  """

  features: Features
  linear: Probes

  @property
  def sweep(self) -> Probes:
    """Options of the training of the probes."""
    return self.linear

  def make_describe(self) -> probes.Describe:
    """Makes the function that computes features, float32 [B, D]."""
    return features.make_describe(self.model, self.features)


def run(config: ml_collections.ConfigDict, workdir: str) -> dict[str, Any]:
  """Trains and tests linear probes, see `probes.run`.

  Args:
    config: A config of this task, see `config.default`.
    workdir: Directory of the run.

  Returns:
    The content of result.json.

  Raises:
    ConfigError: If the config is wrong, or does not fit the data or the
      checkpoint.
    DataError: If the data or the checkpoint is missing or damaged.
  """
  return probes.run(TASK.name, *TASK.resolve(config), workdir)


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
