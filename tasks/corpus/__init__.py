"""The last checks of documents, harm among them; the corpus itself."""
