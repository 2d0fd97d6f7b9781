"""What a model is trained to do, the architectures for it, and held-out scores."""
