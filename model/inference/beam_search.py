"""Beam search: the likeliest whole continuation, as transformers finds it.

Notable: which beams go on, which count as finished and when the search ends are transformers' rules (release 5,
`GenerationMixin._beam_search`), so the same model gives the same text. A beam that goes on keeps its slot of the cache;
only one that splits is copied.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from model.inference.requests import Beam, SamplingOptions


@dataclass(frozen=True)
class OpenBeam:
    """A continuation that goes on."""

    token_ids: tuple[int, ...]
    log_probability: float
    slot: int
    """Where its keys and values are, but for its last token's."""


class BeamSearch:
    """The search for one prompt's continuation; the engine gives it logits and slots of the cache."""

    def __init__(self, options: SamplingOptions, longest: int, slots: Sequence[int]) -> None:
        """Begin with a prompt that is read into the first of `num_beams` slots; `longest` in tokens."""
        self._options, self._longest, self.slots = options, longest, tuple(slots)
        self.open = [OpenBeam((), 0.0, self.slots[0])]
        self.finished: list[Beam] = []
        """From the best down."""

    def advance(self, logits: torch.Tensor, copy: Callable[[int, int], None]) -> bool:
        """Take a step and return whether the search goes on.

        Args:
            logits: (open beams, vocabulary), after the last token of each.
            copy: Copies all that the first slot holds into the second.
        """
        length, options = len(self.open[0].token_ids) + 1, self._options
        candidates = self._candidates(logits)
        ends = [length == self._longest or beam.token_ids[-1] in options.stop_ids for beam in candidates]
        power = length**options.length_penalty
        for beam, is_end in list(zip(candidates, ends, strict=True))[: options.num_beams]:
            if is_end:
                self.finished.append(Beam(beam.token_ids, beam.log_probability / power))
        self.finished = sorted(self.finished, key=lambda beam: -beam.score)[: options.num_beams]
        going_on = [beam for beam, is_end in zip(candidates, ends, strict=True) if not is_end][: options.num_beams]
        full = len(self.finished) == options.num_beams
        if not going_on or (full and going_on[0].log_probability / power <= self.finished[-1].score):
            return False  # no open beam would beat the worst finished one if it ended now
        self.open = self._with_own_slots(going_on, copy)
        return True

    def _candidates(self, logits: torch.Tensor) -> list[OpenBeam]:
        """Return the likeliest next beams, each still in its parent's slot, from the best down.

        So many that enough are left to go on with if the best ones end.
        """
        before = torch.tensor([beam.log_probability for beam in self.open], device=logits.device)
        totals = (logits.log_softmax(-1) + before.unsqueeze(1)).flatten()
        count = min(max(2, 1 + len(self._options.stop_ids)) * self._options.num_beams, len(totals))
        best, vocabulary = totals.topk(count), logits.shape[1]
        candidates = []
        for index, total in zip(best.indices.tolist(), best.values.tolist(), strict=True):
            parent = self.open[index // vocabulary]
            candidates.append(OpenBeam((*parent.token_ids, index % vocabulary), total, parent.slot))
        return candidates

    def _with_own_slots(self, beams: Sequence[OpenBeam], copy: Callable[[int, int], None]) -> list[OpenBeam]:
        """Give each beam a slot: a parent's first one keeps the parent's, the others get a copy."""
        parents = {beam.slot for beam in beams}
        free = [slot for slot in self.slots if slot not in parents]
        kept: set[int] = set()
        moved = []
        for beam in beams:
            slot = beam.slot
            if slot in kept:
                slot = free.pop(0)
                copy(beam.slot, slot)
            kept.add(slot)
            moved.append(OpenBeam(beam.token_ids, beam.log_probability, slot))
        return moved
