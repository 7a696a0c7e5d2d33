"""The encoder of a run: from a run, into a new one, and in words."""

import dataclasses
import json
from collections.abc import Collection, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections

from hdc_jax.checkpoints import saving
from hdc_jax.convert.layouts import Layout
from hdc_jax.distributed import mesh
from hdc_jax.errors import ConfigError
from hdc_jax.evaluate import pretrained
from hdc_jax.evaluate.pretrained import Pretrained
from hdc_jax.models import BackboneOptions
from hdc_jax.runs import results
from hdc_jax.tasks import pretrain
from hdc_jax.tasks.pretrain import WithoutData


def template(backbone: BackboneOptions) -> Any:
  """Shapes and dtypes of the variables of a backbone."""
  clip = jnp.zeros((1, 16, 112, 112, 3))
  return jax.eval_shape(backbone.make().init, jax.random.key(0), clip)


def load(reference: str) -> Pretrained:
  """Loads the encoder of a run.

  Args:
    reference: The run, or one of its checkpoints, as in `config.checkpoint`.

  Returns:
    The backbone, with its variables as NumPy arrays.

  Raises:
    DataError: If there is no checkpoint.
  """
  loaded = pretrained.load(reference, mesh.make_mesh())
  variables = jax.device_get(loaded.variables)
  return dataclasses.replace(loaded, variables=variables)


def save(
  config: ml_collections.ConfigDict, variables: Mapping[str, Any], output: str
) -> None:
  """Writes a run at step 0 with an encoder, and heads that are untrained.

  Args:
    config: A config of task `pretrain`; its dataset is not used.
    variables: Variables of its backbone, by collection.
    output: Directory of the run.

  Raises:
    ConfigError: If the config is wrong.
    StorageError: If the checkpoint cannot be saved.
  """
  training = WithoutData.read(config).make_training(mesh.make_mesh())
  state = training.init_state().with_backbone(variables)
  values = pretrain.TASK.run_config(config.to_dict()).values
  results.write_config(output, values)
  with saving.Checkpoints(output) as saved:
    # It has seen no dataset, so no training can go on from here.
    saved.save(0, state, {"step": 0, "fingerprint": ""}, values)
    saved.wait()


def check_layout(layout: Layout, backbone: BackboneOptions) -> None:
  """Checks that a backbone is built as the networks of a layout are.

  Args:
    layout: The layout.
    backbone: Options of the backbone.

  Raises:
    ConfigError: Naming the field that differs.
  """
  for field, value in layout.requires.items():
    own = getattr(backbone, field, None)
    if own != value:
      raise ConfigError(
        f"{layout.name}'s layout is of networks with {field}={value}, but "
        f"config.model.{field} is {own!r}: import with "
        f"--config.model.{field}={value}, export without --layout"
      )


def check_norm(
  path: str, names: Collection[str], backbone: BackboneOptions
) -> None:
  """Checks that a file has running statistics if, and only if, batch norm does.

  Args:
    path: Path of the file, for the error.
    names: Names of the arrays of the file.
    backbone: The backbone that the weights are for.

  Raises:
    ConfigError: If not, as the file is of a network with another norm.
  """
  has_statistics = any(name.endswith(".running_mean") for name in names)
  if has_statistics and backbone.norm != "batch":
    raise ConfigError(
      f"config.model.norm is {backbone.norm!r}, but {path} has the running "
      "statistics of batch norm: set --config.model.norm=batch"
    )
  if backbone.norm == "batch" and not has_statistics:
    raise ConfigError(
      f"config.model.norm is 'batch', but {path} has no running statistics: "
      "set --config.model.norm=instance, or group"
    )


def check_description(
  path: str, texts: Mapping[str, str], backbone: BackboneOptions
) -> None:
  """Checks that a file is of a backbone, as far as it says.

  Args:
    path: Path of the file.
    texts: Texts beside its weights; `model` is the architecture as JSON.
    backbone: The backbone that the weights are for.

  Raises:
    ConfigError: If it says that it is of another network.
  """
  try:
    stated = json.loads(texts.get("model", ""))
  except (ValueError, RecursionError):
    return
  if not isinstance(stated, dict):  # not written by `export`
    return
  own, defaults = backbone.architecture(), backbone.defaults()
  for field in sorted(stated.keys() | own.keys()):
    here, there = (one.get(field, defaults.get(field)) for one in (own, stated))
    if here != there:
      raise ConfigError(
        f"config.model.{field} is {here!r}, but {path} is of a network with "
        f"{there!r}: set --config.model.{field}"
      )
