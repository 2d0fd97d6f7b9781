"""Evaluation on held-out documents: bits per byte, or the loss in gaps for a model that fills them.

Notable: each result stands beside that of a unigram model over the same tokens, since a number alone says nothing about
a small corpus.
"""

import sys

from model.data.token_cache import open_token_cache
from model.data.token_data import check_vocabulary
from model.evaluation.results import Gaps, Validation
from model.evaluation.subject import Subject
from model.objectives.held_out import HeldOut, Score, held_out_documents, unigram_score
from model.objectives.objectives import CAUSAL


def score_text(subject: Subject) -> Validation | None:
    """Score held-out documents; None for a model that generates no text, or where none are held out."""
    if subject.objective is not CAUSAL or (scores := _scores(subject)) is None:
        return None
    score, unigram = scores
    counts = score.documents, score.tokens, score.text_bytes
    return Validation(*counts, score.loss, score.bits_per_byte, unigram_bits_per_byte=unigram.bits_per_byte)


def score_gaps(subject: Subject) -> Gaps | None:
    """Score gaps in held-out documents; None for a model that generates text, or where none are held out."""
    if subject.objective is CAUSAL or (scores := _scores(subject)) is None:
        return None
    score, unigram = scores
    return Gaps(subject.objective.name, score.documents, score.tokens, score.loss, unigram_loss=unigram.loss)


def _scores(subject: Subject) -> tuple[Score, Score] | None:
    """Return the scores of the model and of token frequencies; None where no documents are held out."""
    config, objective, shape = subject.config, subject.objective, subject.model.shape
    if config.tokens is None or config.cache is None:
        return None
    cache = open_token_cache(config.tokens, config.cache)
    check_vocabulary(cache, shape, objective.name)
    documents = held_out_documents(cache, config.validation_documents)
    if not len(documents):
        print(f"{config.tokens} holds no validation documents; they are not scored", file=sys.stderr)
        return None
    score = objective.score(subject.model, HeldOut(cache, documents, shape.context, config.batch, subject.device))
    return score, unigram_score(cache, documents, shape.vocab_size)
