"""Runs `python -m hdc_jax.report`."""

import sys

from hdc_jax.report import page

sys.exit(page.main())
