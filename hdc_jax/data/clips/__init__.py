"""Clips cut from videos, for training and for tests."""
