"""Puts a run on a TPU slice: three ways from one description of it."""
