"""From video files to a dataset: python -m hdc_jax.prepare."""
