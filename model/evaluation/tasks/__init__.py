"""Evaluation tasks written as YAML with JSON Lines: read, asked, scored. `shipped/` has our own."""
