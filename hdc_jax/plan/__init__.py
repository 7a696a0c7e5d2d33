"""Plans a pretraining on a TPU slice: `python -m hdc_jax.plan`."""
