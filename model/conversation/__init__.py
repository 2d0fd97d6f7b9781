"""A conversation with a model in a terminal: its state, its commands, and how it looks."""
