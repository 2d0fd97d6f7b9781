"""The stages from WARC files to packed tokens, and how a part of a stage is built."""
