"""The config of a run, and which fields must not change when it is resumed."""

import dataclasses
import functools
import hashlib
import json
from collections.abc import Collection, Mapping
from typing import Any, Self

from hdc_jax.errors import ConfigError
from hdc_jax.options.schema import Path, Schema, Tree, leaves, nest

# Fields and sections on which the result of a run depends. The other fields may
# change when the run is resumed.
DECISIVE = (
  "seed",
  "checkpoint",
  "data.batch_size",
  "data.canvas",
  "data.fps",
  "data.frames",
  "data.lanes",
  "data.part",
  "data.split",
  "data.stride",
  "augment",
  "model",
  "method",
  "optim",
  "finetune",
  "subset",
  "train.microbatches",
)


# Those of them that a user may change on purpose when a run is resumed, by
# `train.resume_with`: numbers of the optimizer, whose state stays what it is.
CHANGEABLE = (
  "optim.boundaries",
  "optim.decay",
  "optim.factor",
  "optim.l2",
  "optim.lr",
  "optim.momentum",
  "optim.warmup",
)


@dataclasses.dataclass(frozen=True)
class RunConfig:
  """The config of a run.

  Attributes:
    values: Values of all fields by section, with tuples for sequences.
    schema: The fields that such a config has.
  """

  values: Tree
  schema: Schema

  @functools.cached_property
  def fingerprint(self) -> str:
    """A hash of the values of all fields, see `Rule.before`."""
    before = flatten(self.schema.before())
    counting = {
      field: value
      for field, value in flatten(self.values).items()
      if field not in before or value != before[field]
    }
    text = json.dumps(counting, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]

  def changed(self, changes: Mapping[str, Any]) -> Self:
    """The config with other values, which are given by dotted field."""
    values = self.values
    for (*sections, name), value in leaves(nest(changes)):
      values = _replaced(values, tuple(sections), name, value)
    return dataclasses.replace(self, values=self.schema.fit(values))

  def check_resumes(
    self,
    saved: Mapping[str, Any],
    run: str,
    changing: Collection[str] = (),
  ) -> dict[str, tuple[Any, Any]]:
    """Checks that a run with this config may resume from a checkpoint.

    Args:
      saved: The config in the checkpoint, by section. A field that is missing
        there had its default, or what `Rule.before` says.
      run: Directory of the run, for the message.
      changing: Fields of `CHANGEABLE` that may differ.

    Returns:
      The value before and the value now of each field of `changing` that
      differs.

    Raises:
      ConfigError: Naming the first other field of `DECISIVE` that differs.
    """
    changes = {}
    now, then = flatten(self.values), flatten(self.schema.fit_saved(saved))
    for field in sorted(now.keys() | then.keys()):
      decisive = any(f"{field}.".startswith(f"{s}.") for s in DECISIVE)
      values = then.get(field), now.get(field)
      if not decisive or values[0] == values[1]:
        continue
      if field not in changing:
        message = differs(f"config.{field}", values[1], values[0], run)
        if field in CHANGEABLE:
          message += (
            "; to change it from here on, add "
            f"--config.train.resume_with=\"('{field}',)\""
          )
        raise ConfigError(message)
      changes[field] = values
    return changes


def _replaced(values: Tree, sections: Path, name: str, value: Any) -> Tree:
  """A copy of the values in which one field has another value."""
  if not sections:
    return values | {name: value}
  first, *rest = sections
  inner = _replaced(values[first], tuple(rest), name, value)
  return values | {first: inner}


def differs(field: str, now: Any, then: Any, run: str) -> str:
  """The message for a field that differs from that of an earlier run.

  Args:
    field: Full name of the field.
    now: Its value in the config.
    then: Its value in the earlier run.
    run: Directory of the earlier run.
  """
  return (
    f"{field} is {now!r}, but the run in {run} has {then!r}: use the same "
    "value, or another run"
  )


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
  """The values of all fields by dotted name, with lists instead of tuples.

  Args:
    values: Values by section.
    prefix: Beginning of the names.

  >>> flatten({"model": {"width": 4, "stem": (3, 7, 7)}})
  {'model.width': 4, 'model.stem': [3, 7, 7]}
  """
  flat = {}
  for name, value in values.items():
    if isinstance(value, Mapping):
      flat |= flatten(value, f"{prefix}{name}.")
    else:
      listed = isinstance(value, tuple)
      flat[prefix + name] = list(value) if listed else value
  return flat


def with_tuples(saved: Any) -> Any:
  """A value that was read from JSON, with tuples instead of lists."""
  if isinstance(saved, Mapping):
    return {name: with_tuples(item) for name, item in saved.items()}
  return tuple(saved) if isinstance(saved, list) else saved
