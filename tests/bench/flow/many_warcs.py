"""A crawl of very many, very small WARC files."""

import gzip
import json
from pathlib import Path

from tests.tasks.crawl_mirror import CRAWL, gzip_members, warc_path, warc_records


def write_many_warcs(root: Path, count: int) -> None:
    """Write a crawl of `count` WARC files of three pages each, in Common Crawl's layout."""
    whole, paths = gzip_members(warc_records(3)), [warc_path(index) for index in range(count)]
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(whole)
    (root / "crawl-data" / CRAWL / "warc.paths.gz").write_bytes(gzip.compress("\n".join(paths).encode()))
    (root / "collinfo.json").write_text(json.dumps([{"id": CRAWL}]))
