"""Runs `python -m hdc_jax.plan`."""

from hdc_jax.runtime import commands

commands.enter("hdc_jax.plan.command")
