"""What leaves the store for others: the corpus as a dataset of plain names with its card, and the EU's summary."""
