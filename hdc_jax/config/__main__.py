"""Prints the fields of all configs as Markdown: `python -m hdc_jax.config`."""

from hdc_jax.config import options_page

print(options_page.markdown())
