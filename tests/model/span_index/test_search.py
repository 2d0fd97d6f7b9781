"""The longest spans that a text shares with documents: against a search of every document."""

import random
from pathlib import Path

import numpy as np
import pytest

from model.base.errors import BadInput
from model.span_index.search import Page, SpanIndex
from model.span_index.writer import write_span_index

BOUNDARY = 0


def write(folder: Path, documents: list[list[int]], shard_tokens: int = 1 << 20, vocab_size: int = 400) -> SpanIndex:
    """An index of documents with made-up addresses."""
    pages = [Page(f"W:{number}", f"https://e.example/{number}", f"Page {number}") for number in range(len(documents))]
    rows = zip(pages, (np.asarray(tokens, dtype=np.uint32) for tokens in documents), strict=True)
    write_span_index(folder, rows, vocab_size=vocab_size, boundary=BOUNDARY, tokenizer="abc", shard_tokens=shard_tokens)
    return SpanIndex(folder)


def longest_shared(tokens: list[int], document: list[int]) -> int:
    """The length of the longest span of both, by trying all."""
    spans = {tuple(document[at : at + size]) for size in range(len(document) + 1) for at in range(len(document))}
    found = [
        size
        for at in range(len(tokens))
        for size in range(1, len(tokens) - at + 1)
        if tuple(tokens[at : at + size]) in spans
    ]
    return max(found, default=0)


@pytest.mark.parametrize("shard_tokens", [40, 1 << 20])
@pytest.mark.parametrize("seed", range(4))
def test_every_document_is_found_by_its_longest_span(tmp_path: Path, shard_tokens: int, seed: int) -> None:
    draw = random.Random(seed)
    documents = [[draw.randrange(1, 5) for _ in range(draw.randrange(1, 18))] for _ in range(12)]
    index = write(tmp_path / "index", documents, shard_tokens)
    text = [draw.randrange(1, 5) for _ in range(14)]
    best = max(longest_shared(text, document) for document in documents)
    found = index.search(text, 3, 20)
    assert (found[0].spans[0].length if found else 0) == (best if best >= 3 else 0)
    for page in found:
        document = documents[int(page.page.id.removeprefix("W:"))]
        for span in page.spans:
            before, shared, after = span.context
            assert shared == text[span.start : span.start + span.length]
            whole = [*before, *shared, *after]
            assert whole in [document[at : at + len(whole)] for at in range(len(document))]


def test_documents_with_longer_spans_come_first_and_each_address_once(tmp_path: Path) -> None:
    text = list(range(1, 30))
    index = write(tmp_path / "index", [text[3:9], [50, *text[:20], 51], text[10:29], [60, 61, 62, 63, 64]])
    found = index.search(text, 4, 10)
    assert [page.page.id for page in found] == ["W:1", "W:2"], "the others hold nothing longer than these do"
    assert [page.spans[0].length for page in found] == [page.shared for page in found] == [20, 19]
    assert index.search(text, 4, 1) == found[:1] and index.search([], 4, 5) == []


def test_no_span_reaches_over_the_end_of_a_document(tmp_path: Path) -> None:
    index = write(tmp_path / "index", [[1, 2, 3, 4], [5, 6, 7, 8]])
    assert [page.spans[0].length for page in index.search([1, 2, 3, 4, 5, 6, 7, 8], 2, 5)] == [4, 4]


def test_a_vocabulary_of_more_than_two_bytes(tmp_path: Path) -> None:
    document = [70_000, 5, 150_000, 1 << 18]
    found = write(tmp_path / "index", [document, [5, 5]], vocab_size=1 << 19).search(document, 4, 5)
    assert found[0].spans[0].context[1] == document


@pytest.mark.parametrize("damage", ["no index", "version", "short"])
def test_what_is_no_whole_index_is_refused(tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "index"
    write(folder, [[1, 2, 3]])
    if damage == "no index":
        (folder / "index.json").unlink()
    elif damage == "version":
        text = (folder / "index.json").read_text()
        (folder / "index.json").write_text(text.replace('"version": 1', '"version": 2'))
    else:
        (folder / "shard-00000" / "tokens.bin").write_bytes(b"\x00\x01")
    with pytest.raises(BadInput, match=r"cannot be read: .*; build it again"):
        SpanIndex(folder)


def test_a_corpus_without_documents_shares_nothing(tmp_path: Path) -> None:
    assert write(tmp_path / "index", []).search([1, 2, 3], 1, 5) == []
