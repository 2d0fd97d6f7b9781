"""The longest spans that a text shares with the documents of a corpus: an index on disk, and searches in it."""
