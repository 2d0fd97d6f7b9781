"""The engine: many requests at once over one model, each joining and leaving at any step.

Notable:
- A step is one pass over a token of every running request and a chunk of the prompts that are still being read.
- A finished request's keys and values stay in its slot until it is needed, so a prompt that begins like an earlier or a
  running one, with a system prompt say, is read from where they part. One that begins like a prompt still being
  read waits for it.
- A beam search is a request with a slot for each of its beams; all of them take part in every step.
- Memory is allocated once, for `EngineLimits.slots` sequences; further requests wait in a queue.
- Not thread-safe: one thread calls it.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from model.base.device import best_device
from model.base.errors import BadInput
from model.inference.beam_search import BeamSearch
from model.inference.decoders.c_decoder import CDecoder, c_decoder_available
from model.inference.decoders.decoder import Decoder, DecoderWeights, Rows, decoder_weights
from model.inference.decoders.decoder import WeightPrecision as WeightPrecision
from model.inference.decoders.torch_decoder import TorchDecoder
from model.inference.loading import exported_names, load_decoder_weights
from model.inference.requests import FinishReason, Generation, GenerationRequest, SamplingOptions, TokenEvent
from model.inference.sampling import Sampler
from model.network.transformer import Transformer

_LEAST_SHARED = 16
"""Tokens of a common beginning that are worth waiting for."""


@dataclass(frozen=True)
class EngineLimits:
    """What an engine may take."""

    slots: int = 16
    """Requests that run at the same time."""
    context: int = 0
    """Longest prompt with its continuation, in tokens; 0 takes the model's."""
    chunk: int = 256
    """Prompt tokens read in a step, so that running requests do not wait for a long prompt."""
    queue: int = 1024
    """Requests that may wait for a slot."""

    def __post_init__(self) -> None:
        if self.slots < 1 or self.context < 0 or self.chunk < 1 or self.queue < 0:
            raise BadInput(f"slots and chunk must be at least 1, context and queue not negative: got {self}")


class QueueFull(BadInput):
    """As many requests wait as `EngineLimits.queue` allows; try again later."""


@dataclass
class _Running:
    """A request in a slot."""

    id: int
    request: GenerationRequest
    slot: int
    tokens: list[int]
    """The prompt and what was made of it."""
    cached: int
    """How many of them are in the cache."""
    search: BeamSearch | None
    """What makes the continuation instead of draws; `tokens` then stays the prompt."""

    @property
    def made(self) -> int:
        return len(self.tokens) - len(self.request.prompt_ids)


@dataclass
class _Slot:
    """What a slot of the cache holds."""

    tokens: list[int] = field(default_factory=list)
    """Shared with the request that runs in it."""
    cached: int = 0
    used: int = 0
    """The step at which it was last needed."""
    running: bool = False


class Engine:
    """Continues token ids: `add` requests, then `step` while `has_work`; or `generate` for all at once."""

    def __init__(self, decoder: Decoder, limits: EngineLimits) -> None:
        self.decoder, self.limits = decoder, limits
        self._slots = [_Slot() for _ in range(decoder.slots)]
        self._queue: deque[tuple[int, GenerationRequest]] = deque()
        self._running: dict[int, _Running] = {}
        self._cancelled: list[int] = []
        self._next_id = self._steps = 0
        self._sampler: tuple[tuple[int, ...], Sampler] | None = None
        self._seen: Tensor | None = None
        self.reused_tokens = 0
        """Prompt tokens that were not read since an earlier prompt began with them."""

    @property
    def has_work(self) -> bool:
        """Whether `step` has something to do."""
        return bool(self._queue or self._running or self._cancelled)

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return len(self._queue)

    @property
    def running(self) -> int:
        """Requests in slots."""
        return len(self._running)

    def add(self, request: GenerationRequest) -> int:
        """Queue a request and return its id; its events come from `step`.

        Raises:
            QueueFull: too many requests wait.
            BadInput: the prompt is empty, leaves no room in the context, or has a token that the model has not; or
                there are fewer slots than beams.
        """
        prompt, context = request.prompt_ids, self.decoder.context
        if not 0 < len(prompt) < context:
            raise BadInput(
                f"the prompt has {len(prompt)} tokens; it needs at least 1 and at most {context - 1}, since the "
                f"context is {context}"
            )
        if not 0 <= min(prompt) <= max(prompt) < self.decoder.vocab_size:
            raise BadInput(f"the prompt has a token that is not between 0 and {self.decoder.vocab_size - 1}")
        if request.options.num_beams > len(self._slots):
            raise BadInput(f"{request.options.num_beams} beams need as many slots, and there are {len(self._slots)}")
        if len(self._queue) >= self.limits.queue:
            raise QueueFull(f"{len(self._queue)} requests wait already; try again later")
        self._next_id += 1
        self._queue.append((self._next_id, request))
        return self._next_id

    def cancel(self, request_id: int) -> None:
        """End a request; the next step reports it as cancelled. Does nothing if it has ended."""
        waiting = [entry for entry in self._queue if entry[0] == request_id]
        if waiting:
            self._queue.remove(waiting[0])
        elif request_id in self._running:
            self._release(self._running[request_id])
        else:
            return
        self._cancelled.append(request_id)

    def step(self) -> list[TokenEvent]:
        """Make the next token of every running request and read some of the prompts that wait."""
        events = [TokenEvent(request_id, None, finish_reason="cancelled") for request_id in self._cancelled]
        self._cancelled.clear()
        self._steps += 1
        self._admit()
        rows, chosen_for = self._next_rows()
        if not rows.tokens:
            return events
        logits = self.decoder.forward(rows)
        for running in self._running.values():
            self._slots[running.slot].cached = running.cached
        drawn = [row for row, running in enumerate(chosen_for) if running.search is None]
        if drawn:
            every = len(drawn) == len(chosen_for)
            events += self._choose(logits if every else logits[drawn], [chosen_for[row] for row in drawn])
        for running in {running.id: running for running in chosen_for if running.search}.values():
            events += self._searched(logits[[row for row, one in enumerate(chosen_for) if one is running]], running)
        return events

    def generate(self, requests: Sequence[GenerationRequest]) -> list[Generation]:
        """Run requests to their ends, on an engine that has no other work, and return their results in order."""
        events: dict[int, list[TokenEvent]] = {}
        waiting = deque(requests)
        while waiting or self.has_work:
            while waiting and len(self._queue) < max(1, self.limits.queue):
                events[self.add(waiting.popleft())] = []
            for event in self.step():
                events[event.request_id].append(event)
        return [Generation.of(told) for told in events.values()]

    def _admit(self) -> None:
        """Give free slots to the requests that have waited longest."""
        held_back: list[tuple[int, GenerationRequest]] = []
        # A beam search that needs more slots than are free holds up the ones behind it: it would never get them.
        while self._queue and self._queue[0][1].options.num_beams <= len(self._free_slots()):
            request_id, request = self._queue.popleft()
            if not self._place(request_id, request):
                held_back.append((request_id, request))
        self._queue.extendleft(reversed(held_back))

    def _free_slots(self) -> list[int]:
        """Return the slots that no request has, those unused for longest first."""
        free = [number for number, slot in enumerate(self._slots) if not slot.running]
        return sorted(free, key=lambda number: self._slots[number].used)

    def _place(self, request_id: int, request: GenerationRequest) -> bool:
        """Give a request a slot; False if it should wait for a prompt that begins alike and is being read."""
        prompt = list(request.prompt_ids)
        # The last token is always read: its logits are needed.
        shared = [min(_common(slot.tokens, prompt), len(prompt) - 1) for slot in self._slots]
        ready = [min(alike, slot.cached) for alike, slot in zip(shared, self._slots, strict=True)]
        coming = max((alike for alike, slot in zip(shared, self._slots, strict=True) if slot.running), default=0)
        if coming >= max(ready) + _LEAST_SHARED:
            return False
        free = self._free_slots()
        source = max(range(len(ready)), key=ready.__getitem__)
        target = source if source in free else free[0]
        if source != target and ready[source]:
            self.decoder.copy(source, target, ready[source])
        self.reused_tokens += ready[source]
        self._slots[target] = _Slot(prompt, ready[source], self._steps, running=True)
        search = self._search(request, [target, *(slot for slot in free if slot != target)])
        self._running[request_id] = _Running(request_id, request, target, prompt, ready[source], search)
        if request.options.repetition_penalty != 1:
            self._mark_seen(target, prompt)
        return True

    def _search(self, request: GenerationRequest, slots: Sequence[int]) -> BeamSearch | None:
        """Return the beam search that a request asks for, in the first of `slots`."""
        options = request.options
        if options.num_beams == 1:
            return None
        search = BeamSearch(
            options,
            min(options.max_new_tokens, self.decoder.context - len(request.prompt_ids)),
            slots[: options.num_beams],
        )
        for slot in search.slots[1:]:
            self._slots[slot] = _Slot(used=self._steps, running=True)
        return search

    def _next_rows(self) -> tuple[Rows, list[_Running]]:
        """Return the next pass, and whose next token each of its logits chooses."""
        rows, chosen_for, room = Rows([], [], [], []), list[_Running](), self.limits.chunk
        for running in self._running.values():
            missing = len(running.tokens) - running.cached
            for beam in running.search.open if running.search and not missing else ():
                rows.wanted.append(len(rows.tokens))
                rows.tokens.append(beam.token_ids[-1])
                rows.slots.append(beam.slot)
                rows.positions.append(len(running.tokens) + len(beam.token_ids) - 1)
                chosen_for.append(running)
            taken = missing if missing == 1 else min(missing, room)
            if not taken:
                continue
            room -= taken if missing > 1 else 0
            start, end = running.cached, running.cached + taken
            rows.tokens.extend(running.tokens[start:end])
            rows.slots.extend([running.slot] * taken)
            rows.positions.extend(range(start, end))
            running.cached = end
            if taken == missing:
                rows.wanted.append(len(rows.tokens) - 1)
                chosen_for.append(running)
        return rows, chosen_for

    def _choose(self, logits: Tensor, chosen_for: list[_Running]) -> list[TokenEvent]:
        options = [running.request.options for running in chosen_for]
        ids = tuple(running.id for running in chosen_for)
        if self._sampler is None or self._sampler[0] != ids:
            self._sampler = ids, Sampler(options, logits.device)
        sampler = self._sampler[1]
        seen = None
        if sampler.penalises and self._seen is not None:
            seen = self._seen[[running.slot for running in chosen_for]]
        tokens = sampler.choose(logits, [running.made for running in chosen_for], seen)
        told = _log_probabilities(logits, tokens, options)
        events = []
        for running, token, (logprob, top) in zip(chosen_for, tokens, told, strict=True):
            running.tokens.append(token)
            reason = self._reason_to_end(running, token)
            if reason:
                self._release(running)
            elif running.request.options.repetition_penalty != 1:
                self._mark_seen(running.slot, [token], clear=False)
            events.append(TokenEvent(running.id, token, logprob, top, reason))
        return events

    def _searched(self, logits: Tensor, running: _Running) -> list[TokenEvent]:
        """Take a step of a beam search; return the events of its best continuation once it is over."""
        search = running.search
        assert search is not None
        held = len(running.tokens) + len(search.open[0].token_ids)
        if search.advance(logits, lambda source, target: self.decoder.copy(source, target, held)):
            return []
        self._release(running)
        best = search.finished[0].token_ids
        reason: FinishReason = "stop" if best[-1] in running.request.options.stop_ids else "length"
        last = TokenEvent(running.id, best[-1], finish_reason=reason, beams=tuple(search.finished))
        return [*(TokenEvent(running.id, token) for token in best[:-1]), last]

    def _reason_to_end(self, running: _Running, token: int) -> FinishReason | None:
        if token in running.request.options.stop_ids:
            return "stop"
        full = len(running.tokens) >= self.decoder.context
        return "length" if full or running.made >= running.request.options.max_new_tokens else None

    def _release(self, running: _Running) -> None:
        del self._running[running.id]
        for number in running.search.slots[1:] if running.search else ():
            self._slots[number] = _Slot(used=self._steps)
        slot = self._slots[running.slot]
        slot.running, slot.used, slot.cached = False, self._steps, running.cached
        del slot.tokens[running.cached :]

    def _mark_seen(self, slot: int, tokens: Sequence[int], clear: bool = True) -> None:
        if self._seen is None:
            size = len(self._slots), self.decoder.vocab_size
            self._seen = torch.zeros(size, dtype=torch.bool, device=self.decoder.device)
        if clear:
            self._seen[slot] = False
        self._seen[slot, list(tokens)] = True


def load_engine(folder: Path, precision: WeightPrecision = "float32", limits: EngineLimits | None = None) -> Engine:
    """Return an engine for the model of an export folder; raises BadInput if its files are none or do not fit."""
    return _engine(load_decoder_weights(folder), precision, limits or EngineLimits(), best_device())


def engine_of(
    model: Transformer, precision: WeightPrecision | None = None, limits: EngineLimits | None = None
) -> Engine:
    """Return an engine for a model in memory; without a precision, in that of its activations."""
    own: WeightPrecision = "bfloat16" if model.dtype == torch.bfloat16 else "float32"
    weights = decoder_weights(model.shape, exported_names(model))
    return _engine(weights, precision or own, limits or EngineLimits(), best_device())


def _engine(weights: DecoderWeights, precision: WeightPrecision, limits: EngineLimits, device: torch.device) -> Engine:
    most = weights.shape.context
    if limits.context > most:
        raise BadInput(f"the model's context is {most} tokens, and {limits.context} are asked for")
    context = limits.context or most
    if device.type == "cpu" and c_decoder_available():
        most_rows = limits.slots + limits.chunk
        return Engine(CDecoder(weights, limits.slots, context, precision, most_rows), limits)
    return Engine(TorchDecoder(weights, limits.slots, context, precision, device), limits)


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    """Return how many tokens two sequences have in common at their beginnings."""
    length = min(len(one), len(other))
    differ = np.nonzero(np.array(one[:length]) != np.array(other[:length]))[0]
    return int(differ[0]) if len(differ) else length


def _log_probabilities(
    logits: Tensor, tokens: Sequence[int], options: Sequence[SamplingOptions]
) -> list[tuple[float | None, tuple[tuple[int, float], ...]]]:
    """Return each chosen token's log-probability and the likeliest tokens, where a request asks for them."""
    asked = [row for row, one in enumerate(options) if one.n_logprobs is not None]
    told: list[tuple[float | None, tuple[tuple[int, float], ...]]] = [(None, ())] * len(tokens)
    if not asked:
        return told
    known = logits[asked].log_softmax(-1)
    own = known.gather(1, torch.tensor([[tokens[row]] for row in asked], device=known.device)).flatten().tolist()
    most = min(max(options[row].n_logprobs or 0 for row in asked), known.shape[1])
    best = known.topk(most)
    for row, logprob, values, ids in zip(asked, own, best.values.tolist(), best.indices.tolist(), strict=True):
        wanted = options[row].n_logprobs
        told[row] = logprob, tuple(zip(ids[:wanted], values[:wanted], strict=True))
    return told
