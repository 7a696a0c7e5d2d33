"""What a run takes on a TPU slice: python -m hdc_jax.plan."""
