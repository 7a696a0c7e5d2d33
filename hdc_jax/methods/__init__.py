"""Methods by name; see `base` for what a method is."""

import ml_collections

from hdc_jax.errors import choose
from hdc_jax.methods import cvrl, dsm, hdc
from hdc_jax.methods.base import Method

METHODS = {
  "hdc": hdc.make_method,
  "cvrl": cvrl.make_method,
  "dsm": dsm.make_method,
}


def make_method(config: ml_collections.ConfigDict) -> Method:
  """The method that `config.method` describes.

  Raises:
    ConfigError: If its name is unknown; the message lists the valid ones.
  """
  make = choose("method.name", config.method.name, METHODS)
  return make(config)
