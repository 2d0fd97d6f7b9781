"""Quality classifiers: trained from examples, linear, over hashed n-grams of words; rules on their scores."""
