"""Task `attentive`: attentive probes of a frozen backbone.

The protocol of V-JEPA: one learned query attends to the outputs of a block at
all of its positions, and a linear classifier follows. The test averages the
probabilities of several clips, in several crops each, over the video. Choice:
the rates and decays are those of V-JEPA 2, which reports the best of them on
the test; here, a held-out fraction of the training videos chooses. Choice:
instead of augmenting every training video anew in each epoch, it is augmented
`attentive.views` times, and these views are encoded once.
"""

import dataclasses
from typing import Any

import ml_collections

from hdc_jax.evaluate import attentive, features
from hdc_jax.evaluate.features import Endpoint
from hdc_jax.options import option
from hdc_jax.tasks import probes
from hdc_jax.tasks.base import Task


@dataclasses.dataclass(frozen=True)
class Probes(probes.Sweep, section="attentive"):
  """Options of the training of attentive probes."""

  rates: tuple[float, ...] = option(
    (1e-4, 3e-4, 1e-3, 3e-3, 5e-3),
    "Learning rates, which are all trained at once, each with every decay.",
    required="name a learning rate, such as (0.001,)",
    above=0,
  )
  decays: tuple[float, ...] = option(
    (0.01, 0.1, 0.4, 0.8),
    "Weight decays, which are all trained at once, each with every rate.",
    required="name a decay, such as (0.01,)",
    at_least=0,
  )
  epochs: int = option(20, "How often each video is shown.", at_least=1)
  warmup_epochs: int = option(
    0, "Epochs in which the rate rises from 0.", at_least=0
  )
  batch_size: int = option(256, "Videos per step.", at_least=1)
  views: int = option(
    2,
    "Augmented clips of each video, whose tokens are computed once, and kept "
    "in the memory of each host.",
    at_least=1,
  )
  held_out: float = option(
    0.1,
    "Fraction of the videos that is held out to choose among rates and decays.",
    at_least=0,
    below=1,
  )

  def recipe(self) -> attentive.Recipe:
    """The probes, and how they are trained."""
    return attentive.Recipe(
      self.rates, self.epochs, self.warmup_epochs, self.batch_size, self.decays
    )


@dataclasses.dataclass(frozen=True)
class Attentive(probes.Probed):
  """Options of task `attentive`.

  Attributes:
    features: The block whose outputs are attended to.
    attentive: The training of the probes.
  """

  features: Endpoint
  attentive: Probes

  @property
  def sweep(self) -> Probes:
    """Options of the training of the probes."""
    return self.attentive

  def make_describe(self) -> probes.Describe:
    """Makes the function that computes tokens, [B, L, C]."""
    return features.make_tokens(self.model, self.features)


def run(config: ml_collections.ConfigDict, workdir: str) -> dict[str, Any]:
  """Trains and tests attentive probes, see `probes.run`.

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
  "attentive",
  "attentive probe",
  Attentive,
  run,
  # Values of CVRL's linear probes, so that the two can be compared.
  recipe={
    "test.clips": 10,
    "test.crops": "three",
    "augment.crops": "areas",
  },
  batches=("test.batch_size",),
)
