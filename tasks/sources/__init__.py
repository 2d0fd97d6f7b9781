"""How bytes come: HTTP mirrors, object stores and folders, with rate limits and retries."""
