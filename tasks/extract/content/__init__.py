"""Which of a page's runs of text are its main content, by a learned model, and what kind of page it is."""
