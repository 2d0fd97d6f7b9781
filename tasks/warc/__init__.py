"""The archive format: from the bytes of a file to records and pages."""
