"""The HTML page of one run, or of several side by side."""

from hdc_jax.report.page import write

__all__ = ["write"]
