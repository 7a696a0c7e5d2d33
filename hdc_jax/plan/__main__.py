"""Runs `python -m hdc_jax.plan`."""

from hdc_jax.plan import command
from hdc_jax.runtime import commands

commands.leave(command.main())
