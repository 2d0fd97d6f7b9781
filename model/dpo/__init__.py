"""Direct preference optimisation: pairs of replies, the reference's log-probabilities, and the loss."""
