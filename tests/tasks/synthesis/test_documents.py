"""How much of a document a generator is shown."""

import pytest

from tasks.synthesis.config import FromDocuments
from tasks.synthesis.documents import beginning

WORDS = "word " * 30


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Short. And whole", "Short. And whole"),
        ("a" * 70 + ". Then " + WORDS, "a" * 70 + "."),
        ("东" * 80 + "。" + "西" * 80, "东" * 80 + "。"),
        ("One. " + WORDS, "One. " + "word " * 18 + "word"),
        ("x" * 300, "x" * 100),
    ],
    ids=["whole", "sentence", "without spaces", "no sentence ends near", "one word"],
)
def test_a_beginning_ends_where_a_reader_would_stop(text: str, shown: str) -> None:
    assert beginning(text, FromDocuments(max_document_chars=100)) == shown
