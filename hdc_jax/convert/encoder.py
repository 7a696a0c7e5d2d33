"""The encoder of a run: from a run, into a new one, and in words."""

import json
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections

from hdc_jax import models
from hdc_jax.config import identity
from hdc_jax.convert.layouts import Layout
from hdc_jax.distributed import mesh
from hdc_jax.errors import ConfigError
from hdc_jax.runs import results
from hdc_jax.train import checkpoint, pretrained, training


def describe(model: ml_collections.ConfigDict) -> dict[str, Any]:
  """The part of `config.model` that an encoder is built from, by its names."""
  described = {field: model[field] for field in ("name", "width", "norm")}
  return identity.flatten(described | models.chosen_options(model))


def template(model: ml_collections.ConfigDict) -> Any:
  """Shapes and dtypes of the variables of `config.model`'s backbone."""
  backbone = models.make_backbone(model)
  clip = jnp.zeros((1, 16, 112, 112, 3))
  return jax.eval_shape(backbone.init, jax.random.key(0), clip)


def load(reference: str) -> tuple[ml_collections.ConfigDict, dict[str, Any]]:
  """Loads the encoder of a run.

  Args:
    reference: The run, or one of its checkpoints, as in `config.checkpoint`.

  Returns:
    The config of the run, and the variables of its backbone as NumPy arrays.

  Raises:
    DataError: If there is no checkpoint.
  """
  loaded = pretrained.load(reference, mesh.make_mesh())
  return loaded.config, jax.device_get(loaded.variables)


def save(
  config: ml_collections.ConfigDict, variables: Mapping[str, Any], output: str
) -> None:
  """Writes a run at step 0 with an encoder, and heads that are untrained.

  Args:
    config: Config of the run.
    variables: Variables of its backbone.
    output: Directory of the run.
  """
  trainer = training.make_trainer(config, mesh.make_mesh())
  state = trainer.init_state().with_backbone(variables)
  results.write_config(output, config)
  with checkpoint.Checkpoints(output) as saved:
    # It has seen no dataset, so no training can go on from here.
    saved.save(0, state, {"step": 0, "fingerprint": ""}, config)


def check_layout(layout: Layout, model: ml_collections.ConfigDict) -> None:
  """Raises a ConfigError if the layout's networks are built otherwise."""
  for field, value in layout.requires.items():
    if model[field] != value:
      raise ConfigError(
        f"{layout.name}'s layout is of networks with {field}={value}, but "
        f"config.model.{field} is {model[field]!r}: import with "
        f"--config.model.{field}={value}, export without --layout"
      )


def check_description(
  path: str, texts: Mapping[str, str], model: ml_collections.ConfigDict
) -> None:
  """Raises a ConfigError if a file says that it is of another network.

  Args:
    path: Path of the file.
    texts: Texts beside its weights; `model` is what `describe` gave.
    model: The network, as `config.model`.
  """
  try:
    stated = json.loads(texts.get("model", ""))
  except ValueError:  # not written by `export`
    return
  described = describe(model)
  for field in sorted(stated.keys() | described.keys()):
    here, there = (
      description.get(field, models.OPTIONS.get(field))
      for description in (described, stated)
    )
    if here != there:
      raise ConfigError(
        f"config.model.{field} is {here!r}, but {path} is of a network with "
        f"{there!r}: set --config.model.{field}"
      )
