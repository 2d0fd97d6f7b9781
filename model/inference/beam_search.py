"""Beam search: the likeliest whole continuations, as transformers finds them.

Notable: which beams go on, which count as finished and when the search ends are transformers' rules (release 5,
`GenerationMixin._beam_search`), so the same model gives the same text. A beam that goes on keeps its slot of the cache;
only one that splits is copied.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from model.base.errors import BadInput
from model.inference.decoders.decoder import Decoder, Rows

_CHUNK = 256
"""Prompt tokens read in a pass."""


@dataclass(frozen=True)
class BeamOptions:
    """How wide and how long is searched."""

    beams: int = 4
    """Continuations that are followed at a time."""
    max_new_tokens: int = 64
    """Longest continuation, in tokens, the stop token included."""
    length_penalty: float = 1.0
    """The power of the length that divides a continuation's log-probability; above 0 favours long ones."""
    early_stopping: bool = False
    """Whether to end as soon as `beams` continuations are finished, even if better ones could follow."""
    stop_ids: frozenset[int] = frozenset()
    """Tokens that end a continuation."""

    def __post_init__(self) -> None:
        if self.beams < 1 or self.max_new_tokens < 1:
            raise BadInput(f"beams and max_new_tokens must be at least 1: got {self.beams} and {self.max_new_tokens}")


@dataclass(frozen=True)
class Beam:
    """A continuation."""

    token_ids: tuple[int, ...]
    """With its stop token, where it has one."""
    score: float
    """Its log-probability divided by the power of its length."""


@dataclass(frozen=True)
class _Open:
    """A continuation that goes on."""

    token_ids: tuple[int, ...]
    log_probability: float
    slot: int


def beam_search(decoder: Decoder, prompt_ids: Sequence[int], options: BeamOptions) -> list[Beam]:
    """Return the best continuations of a prompt, `options.beams` of them at most, from the best down.

    Overwrites the decoder's first slots, so no engine may be at work on it. Raises BadInput if the prompt or the beams
    do not fit.
    """
    if not 0 < len(prompt_ids) < decoder.context:
        raise BadInput(f"the prompt has {len(prompt_ids)} tokens; it needs 1 to {decoder.context - 1}")
    if options.beams > decoder.slots:
        raise BadInput(f"{options.beams} beams need as many slots, and there are {decoder.slots}")
    longest = min(options.max_new_tokens, decoder.context - len(prompt_ids))
    logits = _read(decoder, list(prompt_ids))
    running, finished = [_Open((), 0.0, 0)], list[Beam]()
    for length in range(1, longest + 1):
        candidates = _candidates(logits, running, options)
        closed = [length == longest or token in options.stop_ids for _, token, _ in candidates]
        for (parent, token, total), ends in list(zip(candidates, closed, strict=True))[: options.beams]:
            if ends:
                finished.append(Beam((*parent.token_ids, token), total / length**options.length_penalty))
        finished = sorted(finished, key=lambda beam: -beam.score)[: options.beams]
        going_on = [candidate for candidate, ends in zip(candidates, closed, strict=True) if not ends][: options.beams]
        if not going_on or (len(finished) == options.beams and _is_over(finished, going_on[0][2], length, options)):
            break
        position = len(prompt_ids) + length - 1
        running = _moved(decoder, going_on, position)
        tokens, slots = [beam.token_ids[-1] for beam in running], [beam.slot for beam in running]
        logits = decoder.forward(Rows(tokens, slots, [position] * len(running), list(range(len(running)))))
    return finished


def _read(decoder: Decoder, prompt: list[int]) -> torch.Tensor:
    """Read the prompt into the first slot and return the logits (1, vocabulary) after it."""
    logits = torch.empty(0)
    for start in range(0, len(prompt), _CHUNK):
        part = prompt[start : start + _CHUNK]
        positions = list(range(start, start + len(part)))
        logits = decoder.forward(Rows(part, [0] * len(part), positions, [len(part) - 1]))
    return logits


def _candidates(logits: torch.Tensor, running: Sequence[_Open], options: BeamOptions) -> list[tuple[_Open, int, float]]:
    """Return the likeliest next steps: beam, token and log-probability of the whole, from the best down.

    So many that enough are left to go on with if the best ones end.
    """
    before = torch.tensor([beam.log_probability for beam in running], device=logits.device)
    totals = (logits.log_softmax(-1) + before.unsqueeze(1)).flatten()
    count = min(max(2, 1 + len(options.stop_ids)) * options.beams, len(totals))
    best = totals.topk(count)
    vocabulary = logits.shape[1]
    return [
        (running[index // vocabulary], index % vocabulary, total)
        for index, total in zip(best.indices.tolist(), best.values.tolist(), strict=True)
    ]


def _is_over(finished: Sequence[Beam], best: float, length: int, options: BeamOptions) -> bool:
    """Return whether no running beam would beat the worst finished one if it ended now."""
    return options.early_stopping or best / length**options.length_penalty <= finished[-1].score


def _moved(decoder: Decoder, steps: Sequence[tuple[_Open, int, float]], length: int) -> list[_Open]:
    """Give each next step a slot: a beam's first one keeps its slot, the others get a copy of its `length` tokens."""
    parents = {parent.slot for parent, _, _ in steps}
    free = [slot for slot in range(decoder.slots) if slot not in parents]
    kept: set[int] = set()
    moved = []
    for parent, token, total in steps:
        slot = parent.slot
        if slot in kept:
            slot = free.pop(0)
            decoder.copy(parent.slot, slot, length)
        kept.add(slot)
        moved.append(_Open((*parent.token_ids, token), total, slot))
    return moved
