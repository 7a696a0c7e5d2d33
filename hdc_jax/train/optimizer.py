"""Optimizers and schedules: SGD as in Keras, and LARS."""

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
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
  """The schedule of CVRL: half a cosine from `lr` to 0, with a warm-up.

  The cosine counts from step 0, as in the official code (`LinearWarmup` in
  official/modeling/optimization/lr_schedule.py of tensorflow/models). The
  warm-up replaces its first steps by a line from 0 to the value of the cosine
  at the end of the warm-up, which is a little less than `lr`.

  Args:
    lr: Learning rate at step 0 of the cosine.
    warmup_steps: Length of the warm-up in steps; 0 for none.
    steps: Length of the run in steps, with the warm-up; the rate is 0 from
      there on.
  """
  cosine = optax.cosine_decay_schedule(lr, steps)
  if not warmup_steps:
    return cosine
  line = optax.linear_schedule(0.0, cosine(warmup_steps), warmup_steps)

  def schedule(step: Any) -> jax.Array:
    return jnp.where(step < warmup_steps, line(step), cosine(step))

  return schedule


def multistep(
  lr: float, boundaries: Sequence[float], factor: float, steps: int
) -> optax.Schedule:
  """The schedule of DSM: `lr`, multiplied by a factor at each boundary.

  Args:
    lr: Learning rate at step 0.
    boundaries: Fractions of the run after which the rate changes.
    factor: What the rate is multiplied by.
    steps: Length of the run in steps.
  """
  ends = jnp.array([round(boundary * steps) for boundary in boundaries])
  return lambda step: lr * factor ** jnp.sum(step >= ends)


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


def everything(params: Any) -> Any:
  """True for each parameter, see `kernels`.

  Args:
    params: Tree of parameters.
  """
  return jax.tree.map(lambda _: True, params)


def sgd(
  lr: optax.ScalarOrSchedule,
  momentum: float,
  weight_decay: float,
  decayed: Callable[[Any], Any] = kernels,
) -> optax.GradientTransformation:
  """Momentum SGD with coupled weight decay.

  As in Keras, the learning rate is inside of the velocity, v ← m·v - lr·g, so
  that a change of the rate does not rescale past steps. Therefore the gradient
  is scaled before it is traced.

  Args:
    lr: Learning rate, a number or a schedule.
    momentum: Momentum m.
    weight_decay: λ of the loss λ/2·Σw², whose gradient is λ·w (1e-6 in CVRL).
    decayed: Which parameters decay, a function like `kernels`.
  """
  return optax.chain(
    optax.add_decayed_weights(weight_decay, mask=decayed),
    optax.scale_by_learning_rate(lr),
    optax.trace(momentum),
  )


def lars(
  lr: optax.ScalarOrSchedule,
  momentum: float,
  weight_decay: float,
  decayed: Callable[[Any], Any] = kernels,
  trust_coefficient: float = 0.001,
) -> optax.GradientTransformation:
  """LARS (You et al., 2017), for large batches: `sgd` with a rate per kernel.

  The decayed gradient of each kernel is scaled to `trust_coefficient` times the
  norm of the kernel. Biases and norms are trained by momentum SGD, by default
  without decay, as has been usual since SimCLR.

  Args:
    lr: Learning rate, a number or a schedule.
    momentum: Momentum m.
    weight_decay: λ of the loss λ/2·Σw².
    decayed: Which parameters decay, a function like `kernels`.
    trust_coefficient: Ratio of the norm of a kernel's gradient, after scaling,
      to the norm of the kernel.
  """
  return optax.lars(
    lr,
    weight_decay,
    weight_decay_mask=decayed,
    trust_coefficient=trust_coefficient,
    trust_ratio_mask=kernels,
    momentum=momentum,
  )


# Name → function of the options and the length of the run in steps.
SCHEDULES = {
  "inverse_time": lambda optim, steps: inverse_time(optim.lr, optim.decay),
  "cosine": lambda optim, steps: warmup_cosine(optim.lr, optim.warmup, steps),
  "steps": lambda optim, steps: multistep(
    optim.lr, optim.boundaries, optim.factor, steps
  ),
}
# Name → which parameters decay.
DECAYED = {"kernels": kernels, "all": everything}
OPTIMIZERS = {"sgd": sgd, "lars": lars}


@dataclasses.dataclass(frozen=True)
class Optim(Options, section="optim"):
  """Options of the optimizer; the defaults are HDC's."""

  name: str = option("sgd", "Optimizer: sgd or lars.", choices=OPTIMIZERS)
  schedule: str = option(
    "inverse_time",
    "How the learning rate falls: inverse_time; cosine (from step 0 on, to 0 "
    "at the end of the run); or steps (at `boundaries`).",
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
  boundaries: tuple[float, ...] = option(
    (0.6, 0.8),
    "Fractions of the run after which the rate changes, in ascending order: "
    "(0.6, 0.8) are epochs 120 and 160 of 200.",
    required="name at least one fraction, such as (0.5,)",
    above=0,
    below=1,
    when=("schedule", ("steps",)),
  )
  factor: float = option(
    0.1,
    "What the rate is multiplied by at each of `boundaries`.",
    above=0,
    when=("schedule", ("steps",)),
  )
  l2: float = option(
    5e-5, "λ of the loss λ·Σw² over the parameters that decay.", at_least=0
  )
  decayed: str = option(
    "kernels",
    "Which parameters `l2` decays: kernels, or all (with biases and the scales "
    "of norms).",
    choices=DECAYED,
  )

  def check(self) -> None:
    """Checks that boundaries ascend.

    Raises:
      ConfigError: If they do not.
    """
    if any(a >= b for a, b in itertools.pairwise(self.boundaries)):
      raise ConfigError(
        f"config.optim.boundaries={self.boundaries} must ascend: sort them, "
        "each once"
      )

  def make(self, steps: int) -> optax.GradientTransformation:
    """Makes the optimizer of a run.

    `l2` is that of Keras: λ of the loss λ·Σw², whose gradient is 2λ·w.

    Args:
      steps: Length of the run in steps, at which a cosine reaches 0.
    """
    schedule = SCHEDULES[self.schedule](self, steps)
    decayed = DECAYED[self.decayed]
    return OPTIMIZERS[self.name](schedule, self.momentum, 2 * self.l2, decayed)

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
