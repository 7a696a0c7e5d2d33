"""Measurements on fixed features: search, linear probes and statistics."""
