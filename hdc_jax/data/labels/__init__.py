"""Splits, labelled segments and subsets of a dataset."""
