"""Measurements; each file is a command, see benchmarks/README.md."""
