"""Configs: fields, recipes, command-line flags and identity.

A config file needs only what is here: `default` and `parse_arg`.
"""

from hdc_jax.config.flags import parse_arg
from hdc_jax.config.recipes import default

__all__ = ["default", "parse_arg"]
