"""Scores of a run on the synthetic web against the known truth."""
