"""What orchestration costs, and how stages grow with the crawl."""
