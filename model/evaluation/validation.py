"""Evaluation on held-out documents: bits per byte, or the loss in gaps for a model that fills them.

Notable: each result stands beside that of a unigram model over the same tokens, since a number alone says nothing about
a small corpus.
"""

from __future__ import annotations

from model.evaluation.results import Gaps, Validation
from model.evaluation.subject import Subject
from model.objectives.held_out import Score, unigram_score


def score_text(subject: Subject) -> Validation | None:
    """Score held-out documents; None for a model that generates no text, or where none are held out."""
    scores = _scores(subject) if subject.decoder else None
    if scores is None:
        return None
    score, baseline = scores
    return Validation(
        documents=score.documents,
        tokens=score.tokens,
        text_bytes=score.text_bytes,
        loss=score.loss,
        bits_per_byte=score.bits_per_byte,
        unigram_bits_per_byte=baseline.bits_per_byte,
    )


def score_gaps(subject: Subject) -> Gaps | None:
    """Score gaps in held-out documents; None for a model that generates text, or where none are held out."""
    scores = None if subject.decoder else _scores(subject)
    if scores is None:
        return None
    score, baseline = scores
    return Gaps(
        objective=subject.objective.name,
        documents=score.documents,
        tokens=score.tokens,
        loss=score.loss,
        unigram_loss=baseline.loss,
    )


def _scores(subject: Subject) -> tuple[Score, Score] | None:
    """Return the scores of the model and of token frequencies; None where no documents are held out."""
    held_out = subject.held_out()
    if held_out is None:
        return None
    score = subject.objective.score(subject.model, held_out)
    return score, unigram_score(held_out.cache, held_out.documents, subject.model.shape.vocab_size)
