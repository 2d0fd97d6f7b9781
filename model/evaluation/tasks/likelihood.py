"""How likely a model finds continuations of texts: the log-probability of each, and whether it would have said it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from model.evaluation.tasks.asked_model import AskedModel
from model.objectives.held_out import document_windows

_LOGITS = 1 << 27
"""Logits of a pass, at most: 512 MiB in float32."""


@dataclass(frozen=True)
class Likelihood:
    """A continuation under a model."""

    nats: float
    """Natural logarithm of its probability: 0 or less."""
    is_greedy: bool
    """Whether each of its tokens is the likeliest one."""


@dataclass(frozen=True)
class _Row:
    tokens: list[int]
    scored: int
    """The last so many of them."""


def likelihoods(model: AskedModel, pairs: Sequence[tuple[str, str]], batch: int) -> list[Likelihood]:
    """Return the likelihood of each (context, continuation), in order; a long context loses its beginning."""
    return _scored(model, [_pair_row(model, *pair) for pair in pairs], batch)


def text_likelihoods(model: AskedModel, texts: Sequence[str], batch: int) -> list[Likelihood]:
    """Return the likelihood of whole texts, each scored as held-out documents are, in windows of the context."""
    rows, owners = [], []
    for number, text in enumerate(texts):
        tokens = [model.begin, *model.encode(text)]
        for window in document_windows(len(tokens), model.context) if len(tokens) > 1 else ():
            end = window.start + window.length
            rows.append(_Row(tokens[window.start : end], end - window.scored_from))
            owners.append(number)
    found = _scored(model, rows, batch)
    parts: list[list[Likelihood]] = [[] for _ in texts]
    for owner, likelihood in zip(owners, found, strict=True):
        parts[owner].append(likelihood)
    return [Likelihood(sum(part.nats for part in own), all(part.is_greedy for part in own)) for own in parts]


def _pair_row(model: AskedModel, context: str, continuation: str) -> _Row:
    """Tokenize both together, since a space at the context's end belongs to the next word's token."""
    head = context.rstrip()
    whole = model.encode(context + continuation)
    scored = len(whole) - len(model.encode(head))
    # A tokenizer may merge the last token of the context with the first of the continuation.
    scored = max(1, scored)
    tokens = [model.begin, *whole][-(model.context + 1) :]
    return _Row(tokens, min(scored, len(tokens) - 1))


@torch.inference_mode()
def _scored(model: AskedModel, rows: Sequence[_Row], batch: int) -> list[Likelihood]:
    order = sorted(range(len(rows)), key=lambda number: -len(rows[number].tokens))
    found: list[Likelihood] = [Likelihood(0.0, True)] * len(rows)
    start = 0
    while start < len(order):
        width = len(rows[order[start]].tokens) - 1
        chosen = order[start : start + max(1, min(batch, _LOGITS // (width * model.vocab_size)))]
        tokens = np.full((len(chosen), width + 1), model.begin)
        for at, number in enumerate(chosen):
            tokens[at, : len(rows[number].tokens)] = rows[number].tokens
        logits = model.logits(torch.from_numpy(tokens[:, :-1]).to(model.device))
        for at, number in enumerate(chosen):
            end = len(rows[number].tokens)
            first = end - rows[number].scored
            own = logits[at, first - 1 : end - 1]
            targets = torch.from_numpy(tokens[at, first:end]).to(model.device)
            nats = own.log_softmax(-1).gather(1, targets.unsqueeze(1)).double().sum()
            found[number] = Likelihood(float(nats), bool((own.argmax(-1) == targets).all()))
        start += len(chosen)
    return found
