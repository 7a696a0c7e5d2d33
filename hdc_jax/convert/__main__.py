"""Runs `python -m hdc_jax.convert`."""

from hdc_jax.convert import command
from hdc_jax.runtime import commands

commands.leave(command.main())
