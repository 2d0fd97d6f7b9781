"""The main text of a page's HTML, as the extract stage takes it out."""

from tasks.extract.config import ExtractionConfig
from tasks.extract.main_text import main_text, parse_page


def text_of(html: str, url: str, config: ExtractionConfig | None = None) -> str:
    """Return the main text, "" where there is none."""
    config = config or ExtractionConfig()
    tree = parse_page(html, config)
    return "" if tree is None else main_text(tree, html, url, config).text
