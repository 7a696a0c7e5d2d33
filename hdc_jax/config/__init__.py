"""Configs: their files, their recipes, and the command line.

A config file needs only what is here: `default` and `parse_arg`.
"""

from hdc_jax.config.files import parse_arg
from hdc_jax.config.recipes import default

__all__ = ["default", "parse_arg"]
