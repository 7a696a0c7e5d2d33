"""Figures: what a report shows that a table cannot say."""
