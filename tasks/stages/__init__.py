"""The stages from WARC to packed tokens, a file each."""
