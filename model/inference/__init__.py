"""A trained model at work: loading, generation, chat."""
