"""Runs `python -m hdc_jax.report`."""

from hdc_jax.runtime import commands

commands.enter("hdc_jax.report.command")
