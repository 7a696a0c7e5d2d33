"""Configs: their files, their recipes, and their command line.

Config files need only `default` and `parse_arg`.
"""

from hdc_jax.config.files import parse_arg
from hdc_jax.config.recipes import default

__all__ = ["default", "parse_arg"]
