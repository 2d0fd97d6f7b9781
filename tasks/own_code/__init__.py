"""A user's own Python code: how a recipe names it, and how it is loaded."""
