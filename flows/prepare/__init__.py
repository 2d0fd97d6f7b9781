"""A run before it begins: the recipe resolved, its stages planned, and what of them is finished. No Prefect here."""
