"""Texts made to cost time: measuring all signals takes time in proportion to the length, whatever the text."""

import time

import pytest

from tasks.filter.config import FilterConfig
from tasks.filter.measure import measure

CHARACTERS = 50_000
SECONDS = 2.0  # 0.15 where it is slowest; at a quadratic cost it would be a minute

REPEATED = {
    "one letter": "a",
    "spaces": " ",
    "newlines": "\n",
    "combining marks": "\u0301",
    "letters with a combining mark": "a\u0301",
    "one word": "word ",
    "words without space": "word.",
    "bullets": "•",
    "bullet lines": "• item\n",
    "ellipses": "…",
    "ellipsis lines": "and so...\n",
    "short lines": "a\n",
    "paragraphs": "a word\n\n\n",
    "marks inside a word": "a((((((((",
    "marks between digits": "1+",
    "the beginning of addresses": "://",
    "hosts": "a.com.",
    "numbers with dots": "1.1",
    "contractions": "'s",
    "sentence ends": ".)",
    "wide sentence ends": "。」",
    "citation marks": "[1",
    "curly brackets": "{",
    "counters": "12 likes\n",
    "phrases": "read more... ",
    "Chinese": "漢",
    "Thai": "ภาษา",
    "Burmese": "မ",
    "Devanagari": "क्",
    "joined emoji": "👨\u200d👩\u200d",
    "lone surrogates": "\ud800",
}


@pytest.mark.parametrize("repeated", REPEATED.values(), ids=REPEATED)
def test_time_is_linear_in_the_length(repeated: str) -> None:
    text = (repeated * (CHARACTERS // len(repeated) + 1))[:CHARACTERS]
    began = time.process_time()
    measure(text, "en", FilterConfig())
    assert time.process_time() - began < SECONDS
