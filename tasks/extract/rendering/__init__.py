"""From the parts of a page that an extractor chose to Markdown, or to text that keeps code, tables and formulas."""
