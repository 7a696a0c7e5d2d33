"""Runs `python -m hdc_jax.prepare`."""

import sys

from hdc_jax.prepare import command

sys.exit(command.main())
