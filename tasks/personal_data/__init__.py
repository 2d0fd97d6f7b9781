"""Personal data in texts: found kind by kind, counted, and replaced by placeholders."""
