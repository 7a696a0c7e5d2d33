"""Runs `python -m hdc_jax.plan`."""

import sys

from hdc_jax.plan import command

sys.exit(command.main())
