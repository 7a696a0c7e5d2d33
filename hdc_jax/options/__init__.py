"""How components declare options, and how these are made from a config."""

from hdc_jax.options.declaring import Options, option
from hdc_jax.options.identity import RunConfig
from hdc_jax.options.schema import Schema, Variant

__all__ = ["Options", "RunConfig", "Schema", "Variant", "option"]
