"""Encoders to and from PyTorch: python -m hdc_jax.convert."""
