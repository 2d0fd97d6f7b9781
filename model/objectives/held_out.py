"""Scores of held-out documents: loss in nats per token and bits per byte of text.

Notable:
- Bits per byte count the text's own tokens, not the document boundary after them, so that tokenizers can be compared.
- Every document is scored alone. One longer than the context is read in windows that overlap by half, and a token is
  scored in the window that shows the most text before it.
- Documents are divided among the processes and sums added up; the result does not depend on the number of processes.
"""

import dataclasses
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule

from model.data.packed_sequences import IGNORED
from model.data.token_cache import TokenCache


@dataclass(frozen=True)
class Score:
    """Sums over documents."""

    nats: float = 0.0
    tokens: int = 0
    text_bytes: int = 0
    documents: int = 0

    @property
    def loss(self) -> float:
        """Nats per token."""
        return self.nats / self.tokens if self.tokens else math.nan

    @property
    def bits_per_byte(self) -> float:
        """Bits per UTF-8 byte of text."""
        return self.nats / math.log(2) / self.text_bytes if self.text_bytes else math.nan


def sum_of(scores: Iterable[Score]) -> Score:
    """Return the score of all documents together."""
    columns = zip(*map(dataclasses.astuple, scores), strict=True)
    return Score(*(sum(column) for column in columns))


Entry = TypeVar("Entry")


@dataclass(frozen=True)
class HeldOut:
    """Held-out documents, and how they are scored."""

    cache: TokenCache
    documents: npt.NDArray[np.int64]
    """Their numbers in the dataset."""
    context: int
    """Positions that a model sees at once."""
    batch: int
    """Windows of one pass, at most."""
    device: torch.device


ScoreDocuments = Callable[[nn.Module, HeldOut], Score]


@dataclass(frozen=True)
class Window:
    """A stretch of a document that fits the context."""

    start: int
    """First position in the document."""
    length: int
    """Tokens, at most context + 1."""
    scored_from: int
    """Position in the document of the first token scored here."""


_NO_WINDOW = Window(0, 1, 1)


def document_windows(length: int, context: int) -> list[Window]:
    """Return windows that score tokens 1 .. length - 1 of a document of `length` tokens exactly once each."""
    windows = [Window(0, min(length, context + 1), 1)]
    stride = max(1, context // 2)
    while (end := windows[-1].start + windows[-1].length) < length:
        start = min(windows[-1].start + stride, length - context - 1)
        windows.append(Window(start, context + 1, end))
    return windows


def held_out_documents(cache: TokenCache, limit: int) -> npt.NDArray[np.int64]:
    """Return the numbers of the first `limit` validation documents; 0 takes all."""
    found = np.flatnonzero(cache.validation)
    return found[:limit] if limit else found


@torch.no_grad()
def score_documents(model: nn.Module, held_out: HeldOut) -> Score:
    """Score documents in windows of the context.

    A document's tokens begin and end with the boundary token; both frame the text and neither is scored.
    """
    cache, documents = held_out.cache, held_out.documents
    windows = [
        (int(document), window)
        for document in documents
        for window in document_windows(max(1, len(cache.document(document)) - 1), held_out.context)
    ]
    windows.sort(key=lambda entry: entry[1].length)
    nats, tokens = sum_over_passes(
        model, windows, held_out.batch, lambda chosen: _rows(chosen or [(0, _NO_WINDOW)], cache, held_out.device)
    )
    return Score(nats, tokens, int(cache.byte_counts[documents].sum()), len(documents))


def sum_over_passes(
    model: nn.Module, entries: Sequence[Entry], batch: int, tensors_of: Callable[[Sequence[Entry]], tuple[Tensor, ...]]
) -> tuple[float, int]:
    """Return the nats and the number of predicted tokens of `entries`, at most `batch` of them in a pass.

    `tensors_of` returns the model's arguments for some entries, the targets second. It is called with no entries where
    this process has fewer passes to make than others; there is nothing to predict then.
    """
    nats, tokens = 0.0, 0
    passes = -(-len(entries) // batch)
    for start in range(0, _passes_together(model, passes) * batch, batch):
        inputs, targets, *segments = tensors_of(entries[start : start + batch])
        nats += float(model(inputs, targets, *segments))
        tokens += int((targets != IGNORED).sum())
    return nats, tokens


def score_shared(model: nn.Module, held_out: HeldOut, score: ScoreDocuments) -> Score:
    """Score documents, each process its share; all get the score of all."""
    if not dist.is_initialized():
        return score(model, held_out)
    share = held_out.documents[dist.get_rank() :: dist.get_world_size()]
    own = score(model, dataclasses.replace(held_out, documents=share))
    sums = torch.tensor(dataclasses.astuple(own), dtype=torch.float64).to(held_out.device)
    dist.all_reduce(sums)
    nats, *counts = sums.tolist()
    return Score(nats, *(int(count) for count in counts))


def unigram_score(cache: TokenCache, documents: npt.NDArray[np.int64], vocab_size: int) -> Score:
    """Score the same tokens by their frequency in the training split, with one added to each count."""
    counts = np.ones(vocab_size, dtype=np.float64)
    # The ends of the runs of consecutive training documents.
    edges = np.flatnonzero(np.diff(np.concatenate([[True], cache.validation, [True]]).astype(np.int8)))
    for start, end in cache.offsets[edges].reshape(-1, 2):
        counts += np.bincount(cache.tokens[start:end], minlength=vocab_size)[:vocab_size]
    # The boundary token, which is the first, frames documents and is never scored: it gets no share of the probability.
    counts[cache.tokens[0]] = 1.0
    nats_of_token = math.log(counts.sum()) - np.log(counts)
    nats, tokens = 0.0, 0
    for document in documents:
        text = cache.document(document)[1:-1]
        nats += float(nats_of_token[text].sum())
        tokens += len(text)
    return Score(nats, tokens, int(cache.byte_counts[documents].sum()), len(documents))


def _passes_together(model: nn.Module, passes: int) -> int:
    """Return how many passes this process has to make: as many as any other if `model` is sharded."""
    if not isinstance(model, FSDPModule):
        return passes
    most = torch.tensor(passes, device=next(model.parameters()).device)
    dist.all_reduce(most, op=dist.ReduceOp.MAX)
    return int(most.item())


def _rows(entries: Sequence[tuple[int, Window]], cache: TokenCache, device: torch.device) -> tuple[Tensor, Tensor]:
    width = max(window.length for _, window in entries) - 1
    inputs = np.zeros((len(entries), max(1, width)), dtype=np.int64)
    targets = np.full_like(inputs, IGNORED)
    for row, (document, window) in enumerate(entries):
        tokens = cache.document(document)[window.start : window.start + window.length]
        inputs[row, : window.length - 1] = tokens[:-1]
        first = window.scored_from - window.start
        targets[row, first - 1 : window.length - 1] = tokens[first:]
    return torch.from_numpy(inputs).to(device), torch.from_numpy(targets).to(device)
