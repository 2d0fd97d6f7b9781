"""From the bytes of a page to a document: charset, main text, metadata, language, and rules on the address."""
