"""Prefect and the programs it starts: what carries a run out."""
