"""A config as a run saves it, and what may not change when it goes on."""

import dataclasses
import functools
import hashlib
import json
from collections.abc import Mapping
from typing import Any, Self

from hdc_jax.errors import ConfigError
from hdc_jax.options.schema import Path, Schema, Tree, leaves, nest

# Fields and sections that decide a run's results. The others may change when it
# is resumed.
DECISIVE = (
  "seed",
  "checkpoint",
  "data.batch_size",
  "data.canvas",
  "data.frames",
  "data.split",
  "data.stride",
  "augment",
  "model",
  "method",
  "optim",
  "finetune",
  "subset",
)


@dataclasses.dataclass(frozen=True)
class RunConfig:
  """The config of a run.

  Attributes:
    values: All fields by section, as Python has them: with tuples.
    schema: The fields that such a config has.
  """

  values: Tree
  schema: Schema

  @functools.cached_property
  def fingerprint(self) -> str:
    """A hash of all fields."""
    text = json.dumps(flatten(self.values), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]

  def changed(self, changes: Mapping[str, Any]) -> Self:
    """The config with other values, by dotted field."""
    values = self.values
    for (*sections, name), value in leaves(nest(changes)):
      values = _replaced(values, tuple(sections), name, value)
    return dataclasses.replace(self, values=self.schema.fit(values))

  def check_resumes(self, saved: Mapping[str, Any], run: str) -> None:
    """Checks that a run with this config may go on from a saved state.

    Args:
      saved: The config that the state was saved with. Fields that it does not
        know had their defaults.
      run: The directory of the run, for the message.

    Raises:
      ConfigError: Naming the first decisive field that differs.
    """
    now, then = flatten(self.values), flatten(self.schema.fit(saved))
    for field in sorted(now.keys() | then.keys()):
      decisive = any(f"{field}.".startswith(f"{s}.") for s in DECISIVE)
      if decisive and now.get(field) != then.get(field):
        raise ConfigError(
          differs(f"config.{field}", now.get(field), then.get(field), run)
        )


def _replaced(values: Tree, sections: Path, name: str, value: Any) -> Tree:
  """A copy in which one field has another value."""
  if not sections:
    return values | {name: value}
  first, *rest = sections
  inner = _replaced(values[first], tuple(rest), name, value)
  return values | {first: inner}


def differs(field: str, now: Any, then: Any, run: str) -> str:
  """Words for a field that must be as it was in a run."""
  return (
    f"{field} is {now!r}, but the run in {run} has {then!r}: use the same "
    "value, or another run"
  )


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
  """All fields by dotted name, as JSON has them (lists for tuples).

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
  """What went through JSON, with its tuples again."""
  if isinstance(saved, Mapping):
    return {name: with_tuples(item) for name, item in saved.items()}
  return tuple(saved) if isinstance(saved, list) else saved
