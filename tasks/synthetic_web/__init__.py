"""A small synthetic web about an invented country, written in Common Crawl's layout; the offline demo crawls it.

Notable: the truth about each page is known, so a run can be scored stage by stage. The country's facts exist nowhere
else, so a right answer from the model proves the chain from bytes to chat.
"""
