"""Read gold files: pages whose main text is known.

Two forms are read, both of a JSON object a line:
- with the page in the line: {"url", "domain", "html", "gold", "kind", "source"}; the kind counts where it is WCXB's;
- with its place: {"kind": "full", "warc", "offset", "text"}, the WARC beside the file. Lines of another kind hold no
  whole text and are left out.
"""

import gzip
import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.extract.charset import decode
from tasks.warc.reader import Page, ReadLimits, read_pages

_WEIGHT_OF_CRAWL = 2.0
"""There are fewer of them, and nearly all are articles of newspapers."""


@dataclass(frozen=True, slots=True)
class GoldText:
    """A page and its main text."""

    url: str
    domain: str
    html: str
    text: str
    kind: str | None
    """A `PageKind` where it is known."""
    weight: float
    """How many times its runs count in training."""


def read_gold(path: Path) -> Iterator[GoldText]:
    """Yield the pages of a gold file; those that stand in WARCs by WARC and offset."""
    places: defaultdict[str, dict[int, str]] = defaultdict(dict)
    for line in _lines(path):
        if "html" in line:
            kind = line["kind"] if line["source"] == "wcxb" else None
            yield GoldText(line["url"], _domain(line["domain"]), line["html"], line["gold"], kind, 1.0)
        elif line["kind"] == "full":
            places[line["warc"]][line["offset"]] = line["text"]
    for warc, texts in sorted(places.items()):
        with (path.parent / warc).open("rb") as stream:
            for item in read_pages(stream, ReadLimits()):
                if isinstance(item, Page) and item.offset in texts:
                    # Two labels, so that all pages of one publisher are in one fold.
                    domain = ".".join(_domain(item.url.split("/")[2]).split(".")[-2:])
                    html = decode(item.payload, item.content_type).text
                    yield GoldText(item.url, domain, html, texts[item.offset], None, _WEIGHT_OF_CRAWL)


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def _domain(host: str) -> str:
    return host.lower().removeprefix("www.")
