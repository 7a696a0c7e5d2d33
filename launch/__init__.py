"""Launchers that run `hdc_jax.main` on a TPU slice, with three services."""
