"""A search for learning rates: which are tried, how the search goes on, and the recipe that holds what it found."""
