"""The truth about the synthetic web, as a file: one line for each response record.

Notable: only the report and the tests read it. A stage that looked here would be scored on its own answers.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from tasks.synthetic_web.web.responses import Response

TRUTH_FILE = "truth.jsonl.gz"
"""Its name in the synthetic web's folder."""


class PageTruth(BaseModel):
    """What is known about one response record."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    id: str
    """`<WARC base name>:<record offset>`, as in all datasets."""
    url: str
    kind: str
    """`article`, `mirror`, `near_duplicate`, `foreign`, a kind of poor page or a kind of broken response."""
    language: str | None
    """ISO 639-1; None where there is no text."""
    main_text: str
    """Title and paragraphs, one a line; empty where there is nothing to read."""
    duplicate_cluster: str | None
    """The same for pages that are copies of one another, None where a page is alone; one of them should be kept."""
    original: bool
    """Whether the cluster's other pages were copied from this one, which comes first in the crawl."""
    expected: str
    """`keep`, or the stage that should remove it at the latest: `extract`, `filter` or `duplicates`."""
    reason: str | None
    """Which kind of rule should remove it: status, not_html, empty_body; language, too_short,
    few_sentences, repetition, symbols, ellipsis, bullets, lorem_ipsum, curly_bracket, few_letters; exact_duplicate,
    near_duplicate."""
    facts: tuple[str, ...]
    """Ids of the facts it states, e.g. `Narsten/river`."""
    layout: str | None
    """The kind of site; None where there is no page."""
    charset: str | None
    """How the page is encoded and how it says so; None where there is no text."""


def page_truth(id: str, response: Response) -> PageTruth:
    """Return the truth about a response once its place in the crawl is known."""
    return PageTruth(id=id, url=response.url, **asdict(response.truth))


def read_truth(folder: str | Path) -> Iterator[PageTruth]:
    """Yield every record's truth, in the order of the crawl."""
    with gzip.open(Path(folder) / TRUTH_FILE, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield PageTruth.model_validate_json(line)
