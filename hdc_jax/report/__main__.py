"""Runs `python -m hdc_jax.report`."""

from hdc_jax.report import command
from hdc_jax.runtime import commands

commands.leave(command.main())
