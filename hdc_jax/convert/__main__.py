"""Runs `python -m hdc_jax.convert`."""

import sys

from hdc_jax.convert import command

sys.exit(command.main())
