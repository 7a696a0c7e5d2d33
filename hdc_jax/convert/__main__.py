"""Runs `python -m hdc_jax.convert`."""

from hdc_jax.runtime import commands

commands.enter("hdc_jax.convert.command")
