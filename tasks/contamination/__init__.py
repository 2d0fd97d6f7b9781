"""Evaluation items that stand in the documents: found, named, removed."""
