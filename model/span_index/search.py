"""Which documents of the corpus share the longest spans of tokens with a text.

Notable:
- The index is a folder of plain files: documents' tokens, a suffix array over them, and documents' addresses. It is cut
  into shards, so that building takes the same memory for any corpus. Files are mapped, not read.
- Tokens are stored with their high byte first: their bytes then sort as they do, and comparing is `memcmp`.
- A boundary stands between documents and occurs in no text, so that no span reaches from one document into the next.
- The files are written by `writer.py`; nothing in them is unpickled.
"""

import hashlib
import json
import mmap
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from model.base.config_loading import json_object
from model.base.errors import BadInput

FORMAT_VERSION = 1
INDEX_FILE = "index.json"
TOKENS_FILE, SUFFIXES_FILE, STARTS_FILE = "tokens.bin", "suffixes.npy", "starts.npy"
PAGES_FILE, PAGE_ENDS_FILE = "pages.jsonl", "page_ends.npy"
_LONGEST_SPAN = 512
"""Tokens of a span that are compared; a longer one is found as this long."""
_PLACES_A_SPAN = 64
"""Occurrences of a span that are looked at in a shard."""


@dataclass(frozen=True)
class Page:
    """A document of the corpus."""

    id: str
    """Its address: `<WARC base name>:<record offset>`."""
    url: str
    title: str


@dataclass(frozen=True)
class SharedSpan:
    """A span of a text that a document holds too."""

    start: int
    """First token in the text."""
    length: int
    """In tokens."""
    context: tuple[list[int], list[int], list[int]]
    """Tokens of the document: before the span, the span, after it."""


@dataclass(frozen=True)
class SharingPage:
    """A document with the spans that it shares with a text, longest first."""

    page: Page
    spans: tuple[SharedSpan, ...]

    @property
    def shared(self) -> int:
        """Tokens of the text that the document shares."""
        return len({at for span in self.spans for at in range(span.start, span.start + span.length)})


class SpanIndex:
    """A span index on disk, open for searching; safe to use from several threads."""

    def __init__(self, folder: Path) -> None:
        """Open an index; raises BadInput if it is missing, damaged or of another version."""
        try:
            described = json_object(folder / INDEX_FILE)
            if described["version"] != FORMAT_VERSION:
                raise ValueError(f"it has version {described['version']}, and {FORMAT_VERSION} is read")
            self.tokenizer = str(described["tokenizer"])
            """Digest of the tokenizer.json whose ids the index holds."""
            self.documents, width = int(described["documents"]), int(described["token_bytes"])
            self._shards = [_Shard(folder / shard_name(at), width) for at in range(int(described["shards"]))]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BadInput(f"the span index in {folder} cannot be read: {error}; build it again") from error

    def search(self, tokens: Sequence[int], min_length: int, pages: int, context: int = 12) -> list[SharingPage]:
        """Return the documents that share most of `tokens` in their longest spans, most first.

        Args:
            tokens: The ids of the text.
            min_length: Shortest span that counts, in tokens.
            pages: Most documents to return.
            context: Tokens of the document to return on each side of a span.
        """
        found: dict[tuple[int, int], list[SharedSpan]] = defaultdict(list)
        for start, length in self._spans(tokens, min_length):
            span = tokens[start : start + length]
            for number, shard in enumerate(self._shards):
                for document, place in shard.places(span):
                    known = found[number, document]
                    if not any(one.start + one.length >= start + length for one in known):
                        known.append(SharedSpan(start, length, shard.surroundings(document, place, length, context)))
        sharing = [
            SharingPage(self._shards[number].page(document), tuple(sorted(spans, key=lambda span: -span.length)))
            for (number, document), spans in found.items()
        ]
        sharing.sort(key=lambda page: (-page.spans[0].length, -page.shared, page.page.id))
        return _distinct(sharing)[:pages]

    def _spans(self, tokens: Sequence[int], min_length: int) -> Iterator[tuple[int, int]]:
        """Yield (start, length) of the longest span that occurs from each token on, where it is long enough.

        A span's end is in further documents than the whole of it, so those that lie in a longer one are not left out.
        """
        for start in range(len(tokens) - min_length + 1):
            length = max((shard.longest_match(tokens[start:]) for shard in self._shards), default=0)
            if length >= min_length:
                yield start, length


def tokenizer_digest(tokenizer: Path) -> str:
    """Return what an index says of the tokenizer.json whose ids it holds."""
    return hashlib.sha256(tokenizer.read_bytes()).hexdigest()[:32]


def shard_name(number: int) -> str:
    """Return the folder of a shard, below the index's."""
    return f"shard-{number:05}"


def _distinct(sharing: list[SharingPage]) -> list[SharingPage]:
    """Keep the first of the documents with the same address: a page is crawled again and again."""
    return list({page.page.url or page.page.id: page for page in reversed(sharing)}.values())[::-1]


class _Shard:
    """One shard's files, mapped."""

    def __init__(self, folder: Path, token_bytes: int) -> None:
        self._width = token_bytes
        self._tokens = _mapped(folder / TOKENS_FILE)
        self._pages = _mapped(folder / PAGES_FILE)
        self._suffixes: np.ndarray[Any, Any] = np.load(folder / SUFFIXES_FILE, mmap_mode="r", allow_pickle=False)
        self._starts: np.ndarray[Any, Any] = np.load(folder / STARTS_FILE, allow_pickle=False)
        self._page_ends: np.ndarray[Any, Any] = np.load(folder / PAGE_ENDS_FILE, allow_pickle=False)
        if len(self._suffixes) * token_bytes != len(self._tokens) or len(self._starts) != len(self._page_ends):
            raise ValueError(f"the sizes of the files in {folder.name} do not fit each other")

    def longest_match(self, tokens: Sequence[int]) -> int:
        """Return how many of the first `tokens` occur together."""
        wanted = self._encoded(tokens)
        at = bisect_left(self._suffixes, wanted, key=lambda place: self._bytes(place, len(wanted)))
        near = [self._suffixes[place] for place in (at - 1, at) if 0 <= place < len(self._suffixes)]
        return max((_common(wanted, self._bytes(place, len(wanted))) // self._width for place in near), default=0)

    def places(self, tokens: Sequence[int]) -> list[tuple[int, int]]:
        """Return (document, token's place) of a span's occurrences, one a document, at most `_PLACES_A_SPAN`."""
        wanted = self._encoded(tokens)

        def key(place: int) -> bytes:
            return self._bytes(place, len(wanted))

        first = bisect_left(self._suffixes, wanted, key=key)
        last = bisect_right(self._suffixes, wanted, lo=first, key=key)
        places = np.sort(self._suffixes[first : min(last, first + _PLACES_A_SPAN)])
        documents = np.searchsorted(self._starts, places, side="right") - 1
        return list({int(document): int(place) for document, place in zip(documents, places, strict=True)}.items())

    def surroundings(
        self, document: int, place: int, length: int, context: int
    ) -> tuple[list[int], list[int], list[int]]:
        """Return the document's tokens before, in and after a span."""
        begin = int(self._starts[document])
        following = len(self._suffixes) if document + 1 == len(self._starts) else int(self._starts[document + 1])
        end = following - 1  # a boundary ends each document
        after = place + length
        return (
            self._decoded(max(begin, place - context), place),
            self._decoded(place, after),
            self._decoded(after, min(end, after + context)),
        )

    def page(self, document: int) -> Page:
        """Return a document's address."""
        begin = int(self._page_ends[document - 1]) if document else 0
        values = json.loads(self._pages[begin : int(self._page_ends[document])])
        return Page(str(values["id"]), str(values["url"]), str(values["title"]))

    def _encoded(self, tokens: Sequence[int]) -> bytes:
        return np.asarray(tokens[:_LONGEST_SPAN], dtype=f">u{self._width}").tobytes()

    def _decoded(self, begin: int, end: int) -> list[int]:
        piece = self._tokens[begin * self._width : max(begin, end) * self._width]
        return [int(token) for token in np.frombuffer(piece, dtype=f">u{self._width}")]

    def _bytes(self, place: int, size: int) -> bytes:
        begin = int(place) * self._width
        return self._tokens[begin : begin + size]


def _common(left: bytes, right: bytes) -> int:
    """Return how many bytes two texts begin with in common."""
    for at, (one, other) in enumerate(zip(left, right, strict=False)):
        if one != other:
            return at
    return min(len(left), len(right))


def _mapped(path: Path) -> mmap.mmap:
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
