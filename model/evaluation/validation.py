"""Evaluation on held-out documents: bits per byte, or the loss in gaps for a model that fills them.

Notable: each result stands beside that of a unigram model over the same tokens, since a number alone says nothing about
a small corpus.
"""

import dataclasses
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from model.base.errors import BadInput
from model.data.token_cache import named_token_cache
from model.data.token_data import check_vocabulary
from model.evaluation.results import Gaps, GroupScore, Validation
from model.evaluation.subject import Subject
from model.objectives.held_out import HeldOut, Score, held_out_documents, sum_of, unigram_score
from model.objectives.objectives import CAUSAL

_KINDS = ("domain", "language")
_MOST_DOMAINS = 12
_OTHERS, _UNKNOWN = "others", "unknown"


def score_text(subject: Subject) -> Validation | None:
    """Score held-out documents; None for a model that generates no text, or where none are held out."""
    if subject.objective is not CAUSAL or (scores := _scores(subject)) is None:
        return None
    score, unigram, groups = scores
    counts = score.documents, score.tokens, score.text_bytes
    return Validation(*counts, score.loss, score.bits_per_byte, unigram.bits_per_byte, groups)


def score_gaps(subject: Subject) -> Gaps | None:
    """Score gaps in held-out documents; None for a model that generates text, or where none are held out."""
    if subject.objective is CAUSAL or (scores := _scores(subject)) is None:
        return None
    score, unigram, _ = scores
    return Gaps(subject.objective.name, score.documents, score.tokens, score.loss, unigram_loss=unigram.loss)


def _scores(subject: Subject) -> tuple[Score, Score, tuple[GroupScore, ...]] | None:
    """Return the scores of the model, of token frequencies and by group; None where no documents are held out."""
    config, objective, shape = subject.config, subject.objective, subject.model.shape
    cache = named_token_cache(config.tokens, config.cache)
    if cache is None:
        return None
    check_vocabulary(cache, shape, objective.name)
    documents = held_out_documents(cache, config.validation_documents)
    if not len(documents):
        print(f"{config.tokens} holds no validation documents; they are not scored", file=sys.stderr)
        return None
    held_out = HeldOut(cache, documents, shape.context, config.batch, subject.device)
    names = _names(config.groups, len(documents)) if config.groups else [()] * len(documents)
    cells: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)
    for document, own in zip(documents.tolist(), names, strict=True):
        cells[own].append(document)
    scores = {
        own: objective.score(subject.model, dataclasses.replace(held_out, documents=np.array(chosen)))
        for own, chosen in cells.items()
    }
    groups = tuple(_groups(scores)) if config.groups else ()
    return sum_of(scores.values()), unigram_score(cache, documents, shape.vocab_size), groups


def _names(path: Path, count: int) -> list[tuple[str, ...]]:
    """Return domain and language of the first `count` held-out documents; a domain with little text is among others."""
    try:
        table = pq.read_table(path, columns=list(_KINDS)).slice(0, count)
    except (OSError, pa.ArrowException) as error:
        raise BadInput(f"cannot read the held-out documents' groups in {path}: {error}") from error
    if table.num_rows != count:
        raise BadInput(f"{path} has {table.num_rows} held-out documents, and the tokens have {count}")
    domains, languages = ([value or _UNKNOWN for value in table[kind].to_pylist()] for kind in _KINDS)
    frequent = {domain for domain, _ in Counter(domains).most_common(_MOST_DOMAINS)}
    return [(one if one in frequent else _OTHERS, other) for one, other in zip(domains, languages, strict=True)]


def _groups(scores: Mapping[tuple[str, ...], Score]) -> Iterator[GroupScore]:
    """Yield the score of each domain and each language, those with most text first."""
    for place, kind in enumerate(_KINDS):
        own: defaultdict[str, list[Score]] = defaultdict(list)
        for names, score in scores.items():
            own[names[place]].append(score)
        summed = {name: sum_of(parts) for name, parts in own.items()}
        for name, score in sorted(summed.items(), key=lambda entry: (-entry[1].text_bytes, entry[0])):
            yield GroupScore(kind, name, score.documents, score.text_bytes, score.bits_per_byte)
