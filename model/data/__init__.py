"""Training data: token cache, packed sequences, conversations, corruption."""
