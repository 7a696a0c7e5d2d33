"""Runs `python -m benchmarks.evidence`."""

from hdc_jax.runtime import commands

commands.enter("benchmarks.evidence.command")
