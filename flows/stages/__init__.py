"""Which stages there are, those of the model half among them, and which datasets a recipe means."""
