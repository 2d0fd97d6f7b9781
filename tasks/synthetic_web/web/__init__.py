"""What stands around the texts: sites, layouts, responses, and the WARC files that hold them."""
