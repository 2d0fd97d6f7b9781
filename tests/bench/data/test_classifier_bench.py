"""Our classifier beside the same kind of model written plainly: a dictionary lookup for each word and each pair.

Notable: processor time of this thread. Documents a second are printed too, with the documents' size, though they hold
for one machine only.
"""

import gzip
import json
import random
import re
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tasks.classify.linear_model import LinearModel, score_texts
from tests.bench.side_by_side import median_ratio, rates_in_turn, show

DOCUMENTS = 1000
WORDS = 500
ROUNDS = 5
_WORD = re.compile(r"\w+|[^\w\s]")


def typical_documents(folder: Path) -> list[str]:
    """`DOCUMENTS` texts of about `WORDS` words, cut from the main texts of real English pages."""
    with gzip.open(folder / "gold.jsonl.gz", "rt", encoding="utf-8") as lines:
        pages = [json.loads(line) for line in lines]
    words = " ".join(page["text"] for page in pages if page["kind"] == "full" and page["lang_guess"] == "en").split()
    draws = random.Random(1)
    starts = [draws.randrange(len(words) - WORDS) for _ in range(DOCUMENTS)]
    return [" ".join(words[start : start + WORDS]) for start in starts]


def score_plainly(weights: dict[str, float], text: str) -> float:
    """The mean weight of a text's words and pairs of words."""
    words = _WORD.findall(text.lower())
    found = [*words, *map(" ".join, pairwise(words))]
    return sum(weights.get(ngram, 0.0) for ngram in found) / max(len(found), 1)


@pytest.mark.bench
def test_scoring_beside_a_plain_dictionary(common_crawl: Path) -> None:
    texts = typical_documents(common_crawl)
    column = pa.array(texts)
    model = LinearModel(np.random.default_rng(1).standard_normal(1 << 21).astype(np.float32), 2, 10_000)
    draws = random.Random(1)
    vocabulary = {word for text in texts for word in _WORD.findall(text.lower())}
    weights = {word: draws.gauss(0, 1) for word in sorted(vocabulary)}

    def ours() -> float:
        began = time.thread_time()
        score_texts([model], column)
        return DOCUMENTS / (time.thread_time() - began)

    def plain() -> float:
        began = time.thread_time()
        for text in texts[:200]:
            score_plainly(weights, text)
        return 200 / (time.thread_time() - began)

    ours()
    rates = rates_in_turn({"ours": ours, "plain": plain}, ROUNDS)
    ratio = median_ratio(rates["ours"], rates["plain"])
    size = sum(len(text.encode()) for text in texts) / DOCUMENTS
    show(
        f"Scoring documents of {WORDS} words, {size:,.0f} bytes",
        {"ours over a dictionary in Python": ratio, "documents/s of ours, here": float(np.median(rates["ours"]))},
    )
    assert ratio >= 5
