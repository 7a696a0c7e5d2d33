"""Options of components: declared, checked, and built from a config."""

from hdc_jax.options.fields import Options, option
from hdc_jax.options.identity import RunConfig
from hdc_jax.options.schema import Schema, Variant

__all__ = ["Options", "RunConfig", "Schema", "Variant", "option"]
