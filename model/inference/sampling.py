"""The choice of next tokens for many requests at once, each with its own options and seed.

Notable:
- No step loops over rows in Python, and what is chosen for a row does not depend on the other rows: filters only mask
  logits, and every row is drawn by its own number from the same running sum over the vocabulary.
- A draw is a function of the seed and the position in the continuation (SplitMix64), so there is no generator's state.
- The order is that of transformers: repetition penalty, temperature, top-k, top-p, min-p.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from model.inference.requests import SamplingOptions

_GREEDY_BELOW = 1e-6
"""Temperature from which down only equal logits could both be drawn: float32 divided by less than this overflows."""


class Sampler:
    """Chooses a token for each of some requests; made anew when requests join or leave."""

    def __init__(self, options: Sequence[SamplingOptions], device: torch.device) -> None:
        self._drawn = [row for row, one in enumerate(options) if one.temperature >= _GREEDY_BELOW]
        """Rows that are drawn; the others take the likeliest token."""
        drawn = [options[row] for row in self._drawn]
        self._rows = torch.tensor(self._drawn, device=device)
        self._seeds = np.array([one.seed for one in drawn], dtype=np.uint64)
        self._temperature = torch.tensor([one.temperature for one in drawn], device=device).unsqueeze(1)
        self._top_k = [one.top_k for one in drawn]
        self._top_p = torch.tensor([one.top_p for one in drawn], device=device).unsqueeze(1)
        self._min_p = torch.tensor([one.min_p for one in drawn], device=device).unsqueeze(1)
        self._penalty = torch.tensor([one.repetition_penalty for one in options], device=device).unsqueeze(1)
        self.penalises = any(one.repetition_penalty != 1 for one in options)
        """Whether `choose` needs to know which tokens were seen."""

    def choose(self, logits: Tensor, made: Sequence[int], seen: Tensor | None = None) -> list[int]:
        """Return the next token of each request.

        Args:
            logits: (B, vocabulary) float32.
            made: how many tokens each request has made so far.
            seen: (B, vocabulary), whether a token is in a request's prompt or continuation.
        """
        if self.penalises and seen is not None:
            penalised = torch.where(logits > 0, logits / self._penalty, logits * self._penalty)
            logits = torch.where(seen, penalised, logits)
        tokens = logits.argmax(dim=-1)
        if self._drawn:
            numbers = uniforms(self._seeds, np.array([made[row] for row in self._drawn], dtype=np.uint64))
            allowed = self._filtered(logits[self._rows] / self._temperature)
            tokens[self._rows] = _draw(allowed, torch.from_numpy(numbers).to(logits.device))
        chosen: list[int] = tokens.tolist()
        return chosen

    def _filtered(self, logits: Tensor) -> Tensor:
        logits = keep_top_k(logits, self._top_k)
        if bool((self._top_p < 1).any()):
            logits = keep_top_p(logits, self._top_p)
        if bool((self._min_p > 0).any()):
            logits = logits.masked_fill(logits < logits.amax(-1, keepdim=True) + self._min_p.log(), -torch.inf)
        return logits


def keep_top_k(logits: Tensor, top_k: Sequence[int]) -> Tensor:
    """Set all but each row's k likeliest logits (B, vocabulary) to minus infinity; 0 leaves a row as it is."""
    vocabulary = logits.shape[-1]
    limited = [k if 0 < k < vocabulary else 0 for k in top_k]
    if not any(limited):
        return logits
    best = logits.topk(max(limited), dim=-1).values
    last = torch.tensor([max(k - 1, 0) for k in limited], device=logits.device).unsqueeze(1)
    unlimited = torch.tensor([k == 0 for k in limited], device=logits.device).unsqueeze(1)
    return logits.masked_fill((logits < best.gather(1, last)) & ~unlimited, -torch.inf)


def keep_top_p(logits: Tensor, top_p: Tensor) -> Tensor:
    """Set all but each row's likeliest logits that together reach `top_p` (B, 1) to minus infinity.

    Of equally likely tokens the ones with lower ids come first; the likeliest always stays.
    """
    ordered, order = logits.sort(dim=-1, descending=True, stable=True)
    probabilities = ordered.softmax(dim=-1)
    before = probabilities.cumsum(dim=-1) - probabilities
    dropped = torch.empty_like(before, dtype=torch.bool).scatter_(-1, order, (before >= top_p) & (top_p < 1))
    return logits.masked_fill(dropped, -torch.inf)


def uniforms(seeds: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Return a float32 in [0, 1) for each pair of uint64: SplitMix64 (doi:10.1145/2714064.2660195), seeded twice."""
    golden = np.uint64(0x9E3779B97F4A7C15)
    with np.errstate(over="ignore"):
        mixed = _mix(_mix(seeds + golden) + (numbers + np.uint64(1)) * golden)
    return ((mixed >> np.uint64(40)).astype(np.float64) * 2.0**-24).astype(np.float32)


def _mix(state: np.ndarray) -> np.ndarray:
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))


def _draw(logits: Tensor, numbers: Tensor) -> Tensor:
    """Return the token (B) at which the running sum of the probabilities passes each row's number."""
    sums = logits.softmax(dim=-1).cumsum(dim=-1)
    wanted = numbers.unsqueeze(1) * sums[:, -1:]
    return torch.searchsorted(sums, wanted, right=True).squeeze(1).clamp_(max=logits.shape[-1] - 1)
