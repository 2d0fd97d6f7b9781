"""Synthetic data: text that a model wrote, out of the corpus or out of prompts, with where it comes from."""
