"""Documents against evaluation items: which items a document holds, and how much of them.

Notable:
- A pass over all n-grams of a table finds the few that are of an item; only documents with enough of one are looked at.
- A part is there if its n-grams with at least the threshold's share of its weight stand close together.
- A question that is short, and so may be asked anywhere, counts with its answer near it only.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tasks.contamination.items import LONG, N_GRAM, SHORT, ItemIndex, ngrams
from tasks.contamination.words import UInt32s, hashed_words

_NEAR = 60
"""Words after a question within which its answer is looked for."""
_SPREAD = 2
"""How many times its own length a part may be spread over."""
_MOST_STARTS = 2000
"""Places of a document that a part may begin at, evenly taken: a hostile page repeats one n-gram for ever."""


@dataclass(frozen=True)
class Match:
    """An item that a document holds."""

    document: int
    """Its row in the table."""
    item: int
    """Its place in the index."""
    score: float
    """Share of the weight of its question or passage that is there, 0 to 1."""


def required_share(words: int, threshold: float) -> float:
    """Return the share of a part's weight that has to be there: all of a short one, `threshold` of a long one."""
    longer = min(1.0, max(0.0, (words - SHORT) / (LONG - SHORT)))
    return 1.0 - longer * (1.0 - threshold)


def find_items(texts: pa.Array, index: ItemIndex, threshold: float) -> list[Match]:
    """Return the items that texts hold, by document and item, each once."""
    words = hashed_words(texts)
    if len(words.hashes) < N_GRAM or not index.parts:
        return []
    grams = ngrams(words.hashes)
    at, gram = index.places(grams)
    whole = words.texts[at] == words.texts[at + N_GRAM - 1]  # none goes over the end of a text
    at, gram = at[whole], gram[whole]
    best: dict[tuple[int, int], float] = {}
    for document, part in _candidates(words.texts[at], gram, index, threshold):
        own = words.texts[at] == document
        item = index.parts[part].item
        start, end = np.searchsorted(words.texts, [document, document + 1])
        score = _score(words.hashes[start:end], at[own] - start, gram[own], part, index, threshold)
        if score:
            best[document, item] = max(score, best.get((document, item), 0.0))
    return [Match(document, item, score) for (document, item), score in sorted(best.items())]


def _candidates(
    documents: npt.NDArray[np.int64], grams: npt.NDArray[np.int64], index: ItemIndex, threshold: float
) -> Iterator[tuple[int, int]]:
    """Yield (document, part) where a document has enough of a part's weight, wherever in it."""
    pairs = np.unique(documents * len(index.grams) + grams)
    documents, grams = np.divmod(pairs, max(1, len(index.grams)))
    shared = index.shared_by[grams]
    parts = np.concatenate([index.owners(int(gram)) for gram in grams] or [np.empty(0, np.int64)])
    keys = np.repeat(documents, shared) * len(index.parts) + parts
    found, places = np.unique(keys, return_inverse=True)
    sums = np.bincount(places, np.repeat(index.weights[grams], shared), len(found))
    documents, parts = np.divmod(found, len(index.parts))
    required = np.array([required_share(int(words), threshold) for words in index.words])
    enough = sums >= required[parts] * index.totals[parts] - 1e-9
    yield from zip(documents[enough].tolist(), parts[enough].tolist(), strict=True)


def _score(
    words: UInt32s,
    at: npt.NDArray[np.int64],
    grams: npt.NDArray[np.int64],
    part: int,
    index: ItemIndex,
    threshold: float,
) -> float:
    """Return the share of a part that stands close together in a document; 0 if that is too little.

    `at` are the places of the document's `grams` that are of some item.
    """
    wanted = np.searchsorted(index.grams, index.parts[part].grams)
    own = np.isin(grams, wanted)
    at, grams = at[own], grams[own]
    length, total = index.parts[part].words, index.totals[part]
    required = required_share(length, threshold)
    best, best_end = 0.0, 0
    ends = np.searchsorted(at, at + _SPREAD * length)
    for place in range(0, len(at), 1 + len(at) // _MOST_STARTS):
        score = float(index.weights[np.unique(grams[place : ends[place]])].sum() / total)
        if score > best:
            best, best_end = score, int(at[ends[place] - 1]) + N_GRAM
    if best < required - 1e-9:
        return 0.0
    answer = index.answers[index.parts[part].item]
    if length < LONG and len(answer) and not _stands_in(answer, words[best_end : best_end + _NEAR]):
        return 0.0
    return best


def _stands_in(answer: UInt32s, words: UInt32s) -> bool:
    """Return whether an answer, as n-grams or fewer words, stands in some words."""
    for size in (1, 2, N_GRAM):
        if len(words) < size:
            return False
        found = np.stack([words[place : len(words) - size + 1 + place] for place in range(size)], axis=1)
        if np.isin(answer, np.array([ngrams(row)[0] for row in found])).all():
            return True
    return False
