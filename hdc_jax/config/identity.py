"""What makes two configs the same run, or two backbones the same network."""

import hashlib
import json
from collections.abc import Collection, Mapping
from typing import Any

import ml_collections

from hdc_jax.errors import ConfigError

# What decides a run's results, and may not change when it is resumed.
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

# What makes two backbones of one architecture, so that one's weights fit the
# other.
ARCHITECTURE = tuple(
  f"model.{field}"
  for field in ("name", "width", "norm", "stem", "shortcut", "stem_pool")
)


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
  """All fields by dotted name, as JSON has them (lists for tuples)."""
  flat = {}
  for name, value in config.items():
    if isinstance(value, Mapping | ml_collections.ConfigDict):
      flat |= flatten(value, f"{prefix}{name}.")
    else:
      listed = isinstance(value, tuple)
      flat[prefix + name] = list(value) if listed else value
  return flat


def fingerprint(config: ml_collections.ConfigDict) -> str:
  """A hash of the resolved config."""
  text = json.dumps(flatten(config), sort_keys=True)
  return hashlib.sha256(text.encode()).hexdigest()[:16]


def from_json(saved: Mapping[str, Any]) -> ml_collections.ConfigDict:
  """A config that went through JSON, with its tuples again."""

  def restore(value: Any) -> Any:
    if isinstance(value, Mapping):
      return {name: restore(item) for name, item in value.items()}
    return tuple(value) if isinstance(value, list) else value

  return ml_collections.ConfigDict(restore(saved))


def check_same(
  config: ml_collections.ConfigDict,
  saved: ml_collections.ConfigDict,
  sections: Collection[str],
  run: str,
) -> None:
  """Checks that fields are as they were when a run was begun.

  Args:
    config: As it is now.
    saved: As it was.
    sections: Fields and sections, dotted, that must agree.
    run: Where the saved one is from, for the message.

  Raises:
    ConfigError: Naming the first field that differs.
  """
  now, then = flatten(config), flatten(saved)
  for field in sorted(now.keys() | then.keys()):
    decisive = any(f"{field}.".startswith(f"{s}.") for s in sections)
    if decisive and now.get(field) != then.get(field):
      raise ConfigError(
        f"config.{field} is {now.get(field)!r}, but the run in {run} has "
        f"{then.get(field)!r}: use the same value, or another run"
      )
