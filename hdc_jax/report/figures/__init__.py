"""Drawings and tables of a report."""
