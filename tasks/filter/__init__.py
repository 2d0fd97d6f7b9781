"""Signals of a text, and the rules over them, in families and profiles."""
