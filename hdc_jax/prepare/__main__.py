"""Runs `python -m hdc_jax.prepare`."""

from hdc_jax.runtime import commands

commands.enter("hdc_jax.prepare.command")
