"""Evaluations: features, search, linear probes, trials and statistics."""
