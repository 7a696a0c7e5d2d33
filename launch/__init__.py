"""Launchers that run `hdc_jax.main` on a TPU slice or a Slurm cluster."""
