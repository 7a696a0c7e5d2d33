"""SGD as Keras computes it, which HDC and CVRL used; LARS; their schedules."""

from typing import Any

import jax
import ml_collections
import optax

from hdc_jax.errors import ConfigError, choose


def inverse_time(lr: float, decay: float) -> optax.Schedule:
  """Keras SGD's `decay`: lr / (1 + decay · step)."""
  return lambda step: lr / (1.0 + decay * step)


def warmup_cosine(lr: float, warmup_steps: int, steps: int) -> optax.Schedule:
  """Linear from 0 to `lr` over the warm-up, then half a cosine to 0 (CVRL).

  Args:
    lr: At the end of the warm-up.
    warmup_steps: May be 0.
    steps: Of the whole run, the warm-up included: the rate is 0 from there on.
  """
  return optax.warmup_cosine_decay_schedule(0.0, lr, warmup_steps, steps)


def kernels(params: Any) -> Any:
  """Which parameters are kernels: not biases, not the scales of norms."""
  return jax.tree_util.tree_map_with_path(
    lambda path, _: path[-1].key == "kernel", params
  )


def sgd(
  lr: optax.ScalarOrSchedule, momentum: float, weight_decay: float
) -> optax.GradientTransformation:
  """Momentum SGD with coupled weight decay on kernels.

  As Keras, the learning rate is kept inside of the velocity, v ← m·v - lr·g, so
  that a change of the rate does not rescale past steps; hence the scale comes
  before the trace.

  Args:
    lr: A number, or a schedule.
    momentum: m.
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
  kernel's norm. Biases and norms follow plain momentum SGD without decay, as is
  usual with it since SimCLR.

  Args:
    lr: A number, or a schedule.
    momentum: m.
    weight_decay: λ of the loss λ/2·Σw².
    trust_coefficient: Of a step's norm to the kernel's.
  """
  return optax.lars(
    lr,
    weight_decay,
    weight_decay_mask=kernels,
    trust_coefficient=trust_coefficient,
    trust_ratio_mask=kernels,
    momentum=momentum,
  )


SCHEDULES = {
  "inverse_time": lambda optim, steps: inverse_time(optim.lr, optim.decay),
  "cosine": lambda optim, steps: warmup_cosine(optim.lr, optim.warmup, steps),
}
OPTIMIZERS = {"sgd": sgd, "lars": lars}


def make_optimizer(
  config: ml_collections.ConfigDict,
) -> optax.GradientTransformation:
  """The optimizer that `config.optim` describes, by default HDC's.

  That is SGD as Keras has it, whose L2 is the loss λ·Σw²: its gradient is 2λ·w.

  Args:
    config: `optim` and `train.steps`, the length of a cosine, are used.

  Raises:
    ConfigError: If a name is unknown, or the warm-up is as long as the run.
  """
  optim, steps = config.optim, config.train.steps
  schedule = choose("optim.schedule", optim.schedule, SCHEDULES)
  make = choose("optim.name", optim.name, OPTIMIZERS)
  if optim.schedule == "cosine" and optim.warmup >= steps:
    raise ConfigError(
      f"config.optim.warmup={optim.warmup} must be less than "
      f"config.train.steps={steps}"
    )
  return make(schedule(optim, steps), optim.momentum, 2 * optim.l2)
