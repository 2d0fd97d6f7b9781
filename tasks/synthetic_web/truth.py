"""The truth about the synthetic web, as a file: one line for each response record.

Notable: only the report and the tests read it. A stage that looked here would be scored on its own answers.
"""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

from tasks.synthetic_web.web.responses import Response, Truth

TRUTH_FILE = "truth.jsonl.gz"
"""Its name in the synthetic web's folder."""


class PageTruth(Truth):
    """What is known about one response record."""

    id: str
    """`<WARC base name>:<record offset>`, as in all datasets."""
    url: str


def truth_line(id: str, response: Response) -> str:
    """Return the line of a response once its place in the crawl is known."""
    values = {"id": id, "url": response.url, **response.truth.model_dump()}
    return json.dumps(values, ensure_ascii=False, separators=(",", ":")) + "\n"


def read_truth(folder: str | Path) -> Iterator[PageTruth]:
    """Yield every record's truth, in the order of the crawl."""
    with gzip.open(Path(folder) / TRUTH_FILE, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield PageTruth.model_validate_json(line)
