"""Finding duplicates: MinHash signatures, the join over band keys, clusters, and the document that is kept."""
