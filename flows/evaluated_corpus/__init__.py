"""What an evaluation has to know of the corpus: its held-out pages, and the evaluation items that stand in it."""
