"""What a recipe says: its sections, settings, loading and shipped examples."""
