"""Pretraining beside nanoGPT-style, transformers and nanochat loops."""
