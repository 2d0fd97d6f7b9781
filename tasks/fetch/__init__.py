"""Which WARC files and which pages of a crawl are fetched; stages selection, wanted and fetch."""
