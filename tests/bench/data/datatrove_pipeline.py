"""datatrove's own pipeline from one WARC file to kept documents: run by `run_in_datatrove`, never imported by us.

Reads JSON lines with the WARC-Record-IDs of the pages that go past extraction, if there is `--only-listed`; writes one
JSON line: processor seconds of this process and its children, and the record ids of the kept documents.
Notable: all is as its users have it, one task of a LocalPipelineExecutor with the steps of its FineWeb example, but for
its URL and language steps, which load their lists and model from the network, trafilatura's `deduplicate`, which makes
texts depend on the pages before, and the extractor's second by the clock, which on a busy machine drops pages at
random. Imports and the loading of spaCy are not counted.
"""

import json
import resource
import sys
from argparse import ArgumentParser
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import trafilatura  # noqa: F401 (its worker is forked from here and would import it each time)
from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.extractors import Trafilatura
from datatrove.pipeline.filters import (
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
)
from datatrove.pipeline.readers import WarcReader
from datatrove.pipeline.writers import JsonlWriter
from datatrove.utils.text import split_into_words

SECONDS_PER_PAGE = 20


def processor_seconds() -> float:
    """Of this process and its children that have ended."""
    usages = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def main() -> None:
    """One WARC file."""
    parser = ArgumentParser()
    parser.add_argument("warc", type=Path)
    parser.add_argument("--only-listed", action="store_true")
    arguments = parser.parse_args()
    listed = {json.loads(line)["id"] for line in sys.stdin} if arguments.only_listed else None

    def language_step(documents: Iterable[Any], rank: int, world_size: int) -> Iterator[Any]:
        return (document for document in documents if listed is None or document.id in listed)

    split_into_words("Loads the splitter.", "eng")
    with TemporaryDirectory() as folder:
        pipeline = [
            WarcReader(str(arguments.warc.parent), glob_pattern=arguments.warc.name),
            Trafilatura(timeout=SECONDS_PER_PAGE, deduplicate=False),
            language_step,
            GopherRepetitionFilter(),
            GopherQualityFilter(),
            C4QualityFilter(filter_no_terminal_punct=False),
            FineWebQualityFilter(),
            JsonlWriter(f"{folder}/kept", compression=None),
        ]
        began = processor_seconds()
        LocalPipelineExecutor(pipeline, tasks=1, workers=1, logging_dir=f"{folder}/logs").run()
        seconds = processor_seconds() - began
        lines = [line for file in Path(folder, "kept").iterdir() for line in file.read_text("utf-8").splitlines()]
    print(json.dumps({"seconds": seconds, "kept": [json.loads(line)["id"] for line in lines]}))


if __name__ == "__main__":
    main()
