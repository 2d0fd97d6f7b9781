"""A page's markup before the extractor sees it: limits, depth, and what the tree needs to keep its text."""
