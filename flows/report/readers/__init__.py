"""Readers of what the sections of the report show."""
