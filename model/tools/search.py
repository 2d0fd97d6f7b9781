"""The search: BM25 over the passages of a corpus, in an index on disk (bm25s, arXiv:2407.03618).

Notable: words are runs of letters and digits in any script, so a text without spaces is found by whole sentences only.
The index is memory-mapped; nothing in it is unpickled.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

import pyarrow as pa
import pyarrow.feather as feather

from model.base.errors import BadInput
from model.base.full_disk import written_whole
from model.tools.tool import Tool, ToolError

_PASSAGE_WORDS = 60
_PASSAGES = "passages.arrow"
_MOST_QUERY_CHARACTERS = 500
_SENTENCE = re.compile(r"(?<=[.!?。！？])\s+|\n+")
_COLUMNS = ("document", "url", "text")


@dataclass(frozen=True)
class Passage:
    """Some sentences of a document in a row."""

    document: str
    """The document's id."""
    url: str
    text: str


def passages(document: str, url: str, text: str) -> Iterator[Passage]:
    """Yield a document as passages of whole sentences, of about 60 words each."""
    sentences: list[str] = []
    words = 0
    for sentence in filter(None, map(str.strip, _SENTENCE.split(text))):
        length = len(sentence.split())
        if sentences and words + length > _PASSAGE_WORDS:
            yield Passage(document, url, " ".join(sentences))
            sentences, words = [], 0
        sentences.append(sentence)
        words += length
    if sentences:
        yield Passage(document, url, " ".join(sentences))


def write_search_index(folder: Path, found: Iterable[Passage]) -> None:
    """Write the index of some passages to a folder; it is held in memory meanwhile.

    Raises BadInput if there is no passage with a word.
    """
    import bm25s

    rows = list(found)
    tokens = _words([row.text for row in rows])
    if not any(tokens):
        raise BadInput("there is no text to search in")
    index = bm25s.BM25()
    index.index(tokens, show_progress=False)
    folder.mkdir(parents=True, exist_ok=True)
    index.save(folder)
    columns = zip(*map(astuple, rows), strict=True)
    table = pa.table(dict(zip(_COLUMNS, (pa.array(column, pa.large_string()) for column in columns), strict=True)))
    # Last and at once: it is what says that the index is whole. Uncompressed, since it is mapped.
    with written_whole(folder / _PASSAGES) as file:
        feather.write_feather(table, file, compression="uncompressed")


def has_search_index(folder: Path) -> bool:
    """Return whether a folder holds a whole index."""
    return (folder / _PASSAGES).is_file()


class SearchIndex:
    """The passages of a corpus, opened for search."""

    def __init__(self, folder: Path) -> None:
        """Open an index; raises BadInput if it cannot be read."""
        import bm25s

        try:
            self._index = bm25s.BM25.load(folder, mmap=True, show_progress=False)
            self._passages = feather.read_table(folder / _PASSAGES, memory_map=True)
        except Exception as error:  # the library raises what it meets
            raise BadInput(f"there is no search index in {folder}: {error}") from error

    def search(self, query: str, most: int) -> list[Passage]:
        """Return the passages that match a query best, at most `most`; none that shares no word with it."""
        words = _words([query[:_MOST_QUERY_CHARACTERS]])
        places, scores = self._index.retrieve(words, k=min(most, len(self._passages)), show_progress=False, n_threads=1)
        found = [int(place) for place, score in zip(places[0], scores[0], strict=True) if score > 0]
        return [Passage(**row) for row in self._passages.take(found).to_pylist()] if found else []


def _words(texts: list[str]) -> Any:
    import bm25s  # here, since what needs only the tool's name runs where it is not installed

    return bm25s.tokenize(texts, token_pattern=r"\w+", stopwords=None, return_ids=False, show_progress=False)


def _not_open(query: str) -> NoReturn:
    raise ToolError("there is no index to search in")


SEARCH = Tool("search", "", {"query": "string"}, _not_open)
"""The search as a model is told of it."""


def search_tool(folder: Path, most: int = 3) -> Tool:
    """Return the search over the index in a folder; its result is the best passages, one a line."""
    index = SearchIndex(folder)

    def search(query: str) -> str:
        found = index.search(query, most)
        if not found:
            raise ToolError("nothing was found")
        return "\n".join(passage.text for passage in found)

    return replace(SEARCH, run=search)
