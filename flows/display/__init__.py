"""Numbers, safe text and progress for a terminal."""
