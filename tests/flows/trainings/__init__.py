"""Runs whose matter is the training."""
