"""datatrove's filters over texts: run by `datatrove_environment.run_in_datatrove`, never imported by us.

Reads JSON lines with `text`; writes for each what every filter says of it: null if it passes, else its first reason.
With `--timed` it writes the processor seconds of the filters as a pipeline has them, up to the first that drops.
Notable: otherwise a filter that fails does not end a text's way, so that each is heard on its own. FineWeb's filter
gets the lines that C4's leaves, as in FineWeb; where C4's drops a text it leaves none, and FineWeb's is not asked.
"""

import json
import sys
import time
from typing import Any

from datatrove.data import Document
from datatrove.pipeline.filters import (
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
)
from datatrove.utils.text import split_into_words

REPETITION = GopherRepetitionFilter()
QUALITY = GopherQualityFilter()
C4 = C4QualityFilter(filter_no_terminal_punct=False)
FINEWEB = FineWebQualityFilter()


def first_reason(step: Any, document: Document) -> str | None:
    """Why the filter drops a document; None if it keeps it."""
    result = step.filter(document)
    if isinstance(result, tuple):
        return None if result[0] else str(result[1])
    return None if result else "dropped"


def decide(text: str) -> dict[str, Any]:
    """All filters' decisions, the text that C4's leaves, and the words that datatrove sees."""
    document = Document(text=text, id="")
    found: dict[str, Any] = {
        "repetition": first_reason(REPETITION, document),
        "quality": first_reason(QUALITY, document),
        "c4": first_reason(C4, document),
    }
    if found["c4"] is None:
        found["fineweb"] = first_reason(FINEWEB, document)
    return {**found, "cleaned": document.text, "words": split_into_words(text, "eng")}


def time_filters(text: str) -> dict[str, Any]:
    """The time of the filters until one drops the text."""
    document = Document(text=text, id="")
    began = time.process_time()
    kept = all(first_reason(step, document) is None for step in (REPETITION, QUALITY, C4, FINEWEB))
    return {"seconds": time.process_time() - began, "kept": kept}


def main() -> None:
    """From standard input to standard output."""
    say = time_filters if "--timed" in sys.argv else decide
    say("Loads the splitter.")
    for line in sys.stdin:
        print(json.dumps(say(json.loads(line)["text"])))


if __name__ == "__main__":
    main()
