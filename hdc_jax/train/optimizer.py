"""Optimizers and schedules: SGD as in Keras (for HDC and CVRL), and LARS."""

import dataclasses
from typing import Any

import jax
import optax

from hdc_jax.errors import ConfigError
from hdc_jax.options import Options, option


def inverse_time(lr: float, decay: float) -> optax.Schedule:
  """The schedule of Keras SGD's `decay`: lr / (1 + decay · step).

  Args:
    lr: Learning rate at step 0.
    decay: Decay for each step.
  """
  return lambda step: lr / (1.0 + decay * step)


def warmup_cosine(lr: float, warmup_steps: int, steps: int) -> optax.Schedule:
  """The schedule of CVRL: a linear warm-up to `lr`, then half a cosine to 0.

  Args:
    lr: Learning rate at the end of the warm-up.
    warmup_steps: Length of the warm-up in steps; 0 for none.
    steps: Length of the run in steps, with the warm-up; the rate is 0 from
      there on.
  """
  return optax.warmup_cosine_decay_schedule(0.0, lr, warmup_steps, steps)


def kernels(params: Any) -> Any:
  """Whether each parameter is a kernel, not a bias or the scale of a norm.

  Args:
    params: Tree of parameters.

  Returns:
    A tree of the same structure, of bools.
  """
  return jax.tree_util.tree_map_with_path(
    lambda path, _: path[-1].key == "kernel", params
  )


def sgd(
  lr: optax.ScalarOrSchedule, momentum: float, weight_decay: float
) -> optax.GradientTransformation:
  """Momentum SGD with coupled weight decay on kernels.

  As in Keras, the learning rate is inside of the velocity, v ← m·v - lr·g, so
  that a change of the rate does not rescale past steps. Therefore the gradient
  is scaled before it is traced.

  Args:
    lr: Learning rate, a number or a schedule.
    momentum: Momentum m.
    weight_decay: λ of the loss λ/2·Σw², whose gradient is λ·w (1e-6 in CVRL).
  """
  return optax.chain(
    optax.add_decayed_weights(weight_decay, mask=kernels),
    optax.scale_by_learning_rate(lr),
    optax.trace(momentum),
  )


def lars(
  lr: optax.ScalarOrSchedule,
  momentum: float,
  weight_decay: float,
  trust_coefficient: float = 0.001,
) -> optax.GradientTransformation:
  """LARS (You et al., 2017), for large batches: `sgd` with a rate per kernel.

  The decayed gradient of each kernel is scaled to `trust_coefficient` times the
  norm of the kernel. Biases and norms are trained by momentum SGD without
  decay, as has been usual since SimCLR.

  Args:
    lr: Learning rate, a number or a schedule.
    momentum: Momentum m.
    weight_decay: λ of the loss λ/2·Σw².
    trust_coefficient: Ratio of the norm of a kernel's gradient, after scaling,
      to the norm of the kernel.
  """
  return optax.lars(
    lr,
    weight_decay,
    weight_decay_mask=kernels,
    trust_coefficient=trust_coefficient,
    trust_ratio_mask=kernels,
    momentum=momentum,
  )


# Name → function of the options and the length of the run in steps.
SCHEDULES = {
  "inverse_time": lambda optim, steps: inverse_time(optim.lr, optim.decay),
  "cosine": lambda optim, steps: warmup_cosine(optim.lr, optim.warmup, steps),
}
OPTIMIZERS = {"sgd": sgd, "lars": lars}


@dataclasses.dataclass(frozen=True)
class Optim(Options, section="optim"):
  """Options of the optimizer; the defaults are HDC's."""

  name: str = option("sgd", "Optimizer: sgd or lars.", choices=OPTIMIZERS)
  schedule: str = option(
    "inverse_time",
    "How the learning rate falls: inverse_time, or cosine (to 0 at the end of "
    "the run).",
    choices=SCHEDULES,
  )
  lr: float = option(0.1, "Learning rate.", above=0)
  momentum: float = option(0.9, "Momentum.", at_least=0, below=1)
  decay: float = option(
    1e-4,
    "Decay of the rate: lr / (1 + decay · step), as Keras SGD's.",
    at_least=0,
    when=("schedule", ("inverse_time",)),
  )
  warmup: int = option(
    0,
    "Steps in which the rate rises from 0.",
    at_least=0,
    when=("schedule", ("cosine",)),
  )
  l2: float = option(5e-5, "λ of the loss λ·Σw² over kernels.", at_least=0)

  def make(self, steps: int) -> optax.GradientTransformation:
    """Makes the optimizer of a run.

    `l2` is that of Keras: λ of the loss λ·Σw², whose gradient is 2λ·w.

    Args:
      steps: Length of the run in steps, at which a cosine reaches 0.
    """
    schedule = SCHEDULES[self.schedule](self, steps)
    return OPTIMIZERS[self.name](schedule, self.momentum, 2 * self.l2)

  def check_length(self, steps: int) -> None:
    """Checks that a run is longer than the warm-up.

    Args:
      steps: Length of the run in steps.

    Raises:
      ConfigError: If it is not.
    """
    if self.schedule == "cosine" and self.warmup >= steps:
      raise ConfigError(
        f"config.optim.warmup={self.warmup} must be less than "
        f"config.train.steps={steps}"
      )
