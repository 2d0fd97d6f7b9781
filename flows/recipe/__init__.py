"""What a recipe says: its model, its files, its fields and their errors."""
