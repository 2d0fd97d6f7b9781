"""Writes odd_warcs.json: what comes out of each archive of ../shared/commoncrawl/odd-warcs, record by record.

Run as `python -m tests.golden.make_odd_warcs` from the repository's root, and only when a reader's behaviour changes on
purpose. The payloads were compared with those of warcio 1.8.1: 229 are equal, and warcio gives none for the other three
(`brotli`; `bad-non-chunked`, a single gzip member; `wrong-chunks`, a record torn into three), where fastwarc 2.0 has
the same record.

Notable: no text of a page is kept, only its length and digest.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from tasks.warc.reader import Page, ReadLimits, RecordCounts, Unreadable, read_pages

GOLDEN = Path(__file__).with_name("odd_warcs.json")
ARCHIVES = Path(__file__).parents[3] / "shared" / "commoncrawl" / "odd-warcs"


def archives(folder: Path) -> list[Path]:
    """All the archives, by name."""
    return sorted(folder.glob("*.warc*"))


def contents(archive: Path) -> dict[str, Any]:
    """What the reader makes of an archive: a row for each item, and other records by type."""
    counts = RecordCounts()
    with archive.open("rb") as stream:
        items = [_row(item) for item in read_pages(stream, ReadLimits(), counts=counts)]
    return {"items": items, "others": dict(sorted(counts.others.items()))}


def _row(item: Page | Unreadable) -> list[Any]:
    if isinstance(item, Unreadable):
        return [item.offset, item.reason, item.url is not None]
    media_type = item.content_type.partition(";")[0]
    digest = hashlib.sha1(item.payload, usedforsecurity=False).hexdigest()[:12]
    return [item.offset, item.http_status, media_type, item.truncated, item.digest_ok, len(item.payload), digest]


def main() -> None:
    """Write the file, a line for each record."""
    lines = []
    for archive in archives(ARCHIVES):
        found = contents(archive)
        rows = ",\n".join("  " + json.dumps(row) for row in found["items"])
        lines.append(f'"{archive.name}": {{"others": {json.dumps(found["others"])}, "items": [\n{rows}]}}')
    GOLDEN.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
