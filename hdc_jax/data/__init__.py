"""Videos: files, records, clips and batches. Imports neither jax nor flax."""
