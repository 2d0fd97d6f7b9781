"""Readers of a store, without Prefect: run records, datasets, logs."""
