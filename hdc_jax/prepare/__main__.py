"""Runs `python -m hdc_jax.prepare`."""

from hdc_jax.prepare import command
from hdc_jax.runtime import commands

commands.leave(command.main())
