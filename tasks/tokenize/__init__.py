"""From documents to training sequences: the tokenizer, encoding, mixture and packing."""
