"""Finetuning and preferences beside TRL, adapters beside all weights."""
