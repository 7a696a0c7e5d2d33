"""Prints the fields of all configs as Markdown: `python -m hdc_jax.config`."""

from hdc_jax.config import table

print(table.markdown())
