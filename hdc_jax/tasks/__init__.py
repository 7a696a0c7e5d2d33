"""What python -m hdc_jax.main can do, a file for each task."""
