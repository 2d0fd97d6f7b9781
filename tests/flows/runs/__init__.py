"""Whole runs of the data half, and of the way to a model."""
