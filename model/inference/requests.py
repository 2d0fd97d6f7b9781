"""What the engine is asked and what it says: requests with their options, events, finished generations.

Notable: everything here is token ids. Text and stop strings are the caller's (model/inference/text_stream.py).
"""

import math
from dataclasses import dataclass
from typing import Literal

from model.base.config import MAX_SEED
from model.base.errors import BadInput

FinishReason = Literal["stop", "length", "cancelled"]
"""A stop id; `max_new_tokens` or the end of the context; `Engine.cancel`."""


@dataclass(frozen=True)
class SamplingOptions:
    """How the tokens of one request are chosen."""

    temperature: float = 0.0
    """Divides the logits; 0 takes the likeliest token."""
    top_k: int = 0
    """Only the k likeliest tokens may be drawn; 0 leaves all."""
    top_p: float = 1.0
    """Only the likeliest tokens that together reach this probability may be drawn (arXiv:1904.09751, section 3.1)."""
    min_p: float = 0.0
    """Only tokens of at least this share of the likeliest one's probability may be drawn (arXiv:2407.01082)."""
    repetition_penalty: float = 1.0
    """Divides the positive logits of tokens seen before, prompt included, and multiplies the negative ones
    (arXiv:1909.05858, section 4.1)."""
    max_new_tokens: int = 64
    """Longest continuation, in tokens, the stop token included."""
    seed: int = 0
    """Seeds the draws: the same seed gives the same tokens, whatever else the engine does."""
    stop_ids: frozenset[int] = frozenset()
    """Tokens that end the continuation."""
    n_logprobs: int | None = None
    """None: no log-probabilities; otherwise the chosen token's and those of this many likeliest tokens."""
    num_beams: int = 1
    """Above 1, beam search follows this many continuations and returns the likeliest; nothing is drawn."""
    length_penalty: float = 1.0
    """Beam search divides a continuation's log-probability by its length to this power; above 0 favours long ones."""

    def __post_init__(self) -> None:
        checks: dict[str, tuple[bool, str]] = {
            "temperature": (0 <= self.temperature < math.inf, "a finite number, not negative"),
            "top_k": (self.top_k >= 0, "0 (all tokens) or more"),
            "top_p": (0 < self.top_p <= 1, "above 0 and at most 1"),
            "min_p": (0 <= self.min_p <= 1, "between 0 and 1"),
            "repetition_penalty": (0 < self.repetition_penalty < math.inf, "a finite number above 0"),
            "max_new_tokens": (self.max_new_tokens >= 1, "at least 1"),
            "seed": (0 <= self.seed <= MAX_SEED, f"between 0 and {MAX_SEED}"),
            "n_logprobs": (self.n_logprobs is None or self.n_logprobs >= 0, "none, 0 or more"),
            "num_beams": (self.num_beams >= 1, "at least 1"),
            "length_penalty": (math.isfinite(self.length_penalty), "a finite number"),
        }
        if self.num_beams > 1:
            checks["temperature"] = self.temperature == 0, "0 in a beam search, which draws nothing"
            checks["repetition_penalty"] = self.repetition_penalty == 1, "1 in a beam search"
            checks["n_logprobs"] = self.n_logprobs is None, "none in a beam search"
        for name, (right, expected) in checks.items():
            if not right:
                raise BadInput(f"{name} must be {expected}: got {getattr(self, name)}")


@dataclass(frozen=True)
class GenerationRequest:
    """A prompt to continue."""

    prompt_ids: tuple[int, ...]
    """At least one token, and fewer than the engine's context."""
    options: SamplingOptions = SamplingOptions()


@dataclass(frozen=True)
class Beam:
    """A finished continuation of a beam search."""

    token_ids: tuple[int, ...]
    """With its stop token, where it has one."""
    score: float
    """Its log-probability divided by the power of its length."""


@dataclass(frozen=True)
class TokenEvent:
    """One token of one request, or its end."""

    request_id: int
    """What `Engine.add` returned."""
    token_id: int | None
    """The token, a stop token included; None if cancelled."""
    logprob: float | None = None
    """Natural logarithm of the model's own probability, before temperature and filters; None unless asked for."""
    top_logprobs: tuple[tuple[int, float], ...] = ()
    """The likeliest tokens with theirs, from the likeliest down."""
    finish_reason: FinishReason | None = None
    """Set in a request's last event."""
    beams: tuple[Beam, ...] = ()
    """In the last event of a beam search: its `num_beams` best continuations at most, from the best down."""

    @property
    def shown_id(self) -> int | None:
        """The token if it belongs to the continuation: None for a stop token, and where it was cancelled."""
        return None if self.finish_reason == "stop" else self.token_id


@dataclass(frozen=True)
class Generation:
    """A finished continuation."""

    token_ids: list[int]
    """Without the stop token."""
    finish_reason: FinishReason | None
    events: list[TokenEvent]
    """All its events, in order."""

    @classmethod
    def of(cls, events: list[TokenEvent]) -> "Generation":
        """Return what the events of one request, to its end, say."""
        shown = [event.shown_id for event in events if event.shown_id is not None]
        return cls(shown, events[-1].finish_reason, events)
