"""The engine: the same tokens alone and in company, cached and not, whatever joins and leaves."""

import random

import pytest
import torch

from model.base.errors import BadInput
from model.inference.engine import Engine, EngineLimits, QueueFull, engine_of
from model.inference.requests import Generation, GenerationRequest, SamplingOptions, TokenEvent
from model.network.transformer import Transformer
from tests.model.network.test_transformer import random_model


@pytest.fixture(scope="module")
def model() -> Transformer:
    """A model of random weights, in which greedy continuations do not loop at once."""
    return random_model(context=96)


def request(*prompt: int, **options: object) -> GenerationRequest:
    """A request of 12 tokens, unless told otherwise."""
    return GenerationRequest(prompt, SamplingOptions(**{"max_new_tokens": 12, **options}))  # type: ignore[arg-type]


def tokens(engine: Engine, *requests: GenerationRequest) -> list[list[int]]:
    """What an engine makes of requests."""
    return [generation.token_ids for generation in engine.generate(requests)]


def test_greedy_tokens_are_those_of_full_passes(model: Transformer) -> None:
    prompts = [(5,), (7, 8, 9, 10, 11, 12), (3, 4)]
    together = tokens(engine_of(model), *(request(*prompt) for prompt in prompts))
    for prompt, reply in zip(prompts, together, strict=True):
        ids = list(prompt)
        for _ in range(12):
            ids.append(int(model(torch.tensor([ids]))[0, -1].argmax()))
        assert reply == ids[len(prompt) :]


def run(engine: Engine, requests: list[GenerationRequest], draw: random.Random) -> dict[int, list[int]]:
    """The tokens of requests that join at random steps, some of which are cancelled, by their number."""
    numbers: dict[int, int] = {}
    events: dict[int, list[TokenEvent]] = {number: [] for number in range(len(requests))}
    left = list(enumerate(requests))
    while left or engine.has_work:
        for _ in range(min(draw.randrange(3), len(left))):
            number, joining = left.pop(0)
            numbers[engine.add(joining)] = number
        if numbers and draw.random() < 0.05:
            engine.cancel(draw.choice(list(numbers)))
        for event in engine.step():
            events[numbers[event.request_id]].append(event)
    return {number: Generation.of(told).token_ids for number, told in events.items() if not cancelled(told)}


def cancelled(events: list[TokenEvent]) -> bool:
    """Whether a request was cancelled."""
    return events[-1].finish_reason == "cancelled"


@pytest.mark.parametrize("seed", range(8))
def test_tokens_do_not_depend_on_company_chunks_or_what_was_cached(model: Transformer, seed: int) -> None:
    draw = random.Random(seed)
    system = [draw.randrange(384) for _ in range(20)]
    asked = []
    for number in range(12):
        own = [draw.randrange(384) for _ in range(draw.randrange(1, 12))]
        options = {"temperature": draw.choice([0.0, 1.0]), "top_k": draw.choice([0, 20]), "top_p": 0.95}
        penalty = draw.choice([1.0, 1.3])
        prompt = (*(system if draw.random() < 0.7 else []), *own)
        asked.append(
            request(*prompt, seed=number, repetition_penalty=penalty, max_new_tokens=draw.randrange(1, 14), **options)
        )
    limits = EngineLimits(slots=draw.choice([1, 3, 5]), chunk=draw.choice([1, 7, 64]))
    engine = engine_of(model, limits=limits)
    together = run(engine, asked, draw)
    assert together
    for number, reply in together.items():
        assert [reply] == tokens(engine_of(model, limits=EngineLimits(slots=1)), asked[number]), number
    assert not engine.running and not engine.waiting


def test_a_shared_beginning_is_read_once(model: Transformer) -> None:
    system = tuple(range(30, 60))
    engine = engine_of(model, limits=EngineLimits(slots=4))
    asked = [request(*system, last, max_new_tokens=3) for last in range(6)]
    together = tokens(engine, *asked)
    assert engine.reused_tokens == 5 * len(system), "also by those that came at the same time"
    assert tokens(engine, request(*system, 1, 2, max_new_tokens=3)) == tokens(
        engine_of(model), request(*system, 1, 2, max_new_tokens=3)
    )
    assert engine.reused_tokens == 6 * len(system)
    assert together[3] == tokens(engine_of(model), asked[3])[0]


def test_ends_of_generation(model: Transformer) -> None:
    free = tokens(engine_of(model), request(5))[0]
    stop = free[3]
    stopped = engine_of(model).generate([request(5, stop_ids=frozenset({stop}))])[0]
    assert (stopped.token_ids, stopped.finish_reason) == (free[: free.index(stop)], "stop")
    assert stopped.events[-1].token_id == stop
    context = model.shape.context
    long, short = engine_of(model).generate([request(*[1] * (context - 3), max_new_tokens=99), request(5)])
    assert (len(long.token_ids), long.finish_reason) == (3, "length")
    assert (short.token_ids, short.finish_reason) == (free, "length")


def test_a_cancelled_request_ends_and_the_others_go_on(model: Transformer) -> None:
    engine = engine_of(model, limits=EngineLimits(slots=2))
    ids = [engine.add(request(number + 1)) for number in range(4)]
    engine.step()
    engine.cancel(ids[0])
    engine.cancel(ids[3])
    engine.cancel(99)
    events = [event for _ in range(40) for event in engine.step()]
    last = {event.request_id: event.finish_reason for event in events}
    assert last == {ids[0]: "cancelled", ids[1]: "length", ids[2]: "length", ids[3]: "cancelled"}
    assert not engine.has_work and engine.step() == []


def test_log_probabilities_are_the_models_own(model: Transformer) -> None:
    (made,) = engine_of(model).generate([request(5, 6, temperature=1.0, top_k=3, n_logprobs=2)])
    ids = torch.tensor([[5, 6, *made.token_ids]])
    with torch.no_grad():
        known = model(ids)[0].log_softmax(-1)
    for at, event in enumerate(made.events):
        row = known[1 + at]
        assert event.logprob == pytest.approx(float(row[event.token_id]), abs=1e-4)
        best = row.topk(2)
        assert [token for token, _ in event.top_logprobs] == best.indices.tolist()
        assert [value for _, value in event.top_logprobs] == pytest.approx(best.values.tolist(), abs=1e-4)


def test_what_does_not_fit_is_refused(model: Transformer) -> None:
    context = model.shape.context
    engine = engine_of(model, limits=EngineLimits(slots=1, queue=1))
    with pytest.raises(BadInput, match=f"the prompt has {context} tokens; it needs at least 1"):
        engine.add(request(*[1] * context))
    with pytest.raises(BadInput, match="the prompt has 0 tokens"):
        engine.add(request())
    for wrong in (-1, 384):
        with pytest.raises(BadInput, match="not between 0 and 383"):
            engine.add(request(wrong))
    engine.add(request(1))
    with pytest.raises(QueueFull, match="1 requests wait already"):
        engine.add(request(1))
    with pytest.raises(BadInput, match=f"context is {context} tokens, and 4096 are asked for"):
        engine_of(model, limits=EngineLimits(context=4096))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", -1),
        ("temperature", float("nan")),
        ("temperature", float("inf")),
        ("top_k", -1),
        ("top_p", 0.0),
        ("top_p", 1.01),
        ("top_p", float("nan")),
        ("min_p", 1.5),
        ("repetition_penalty", 0.0),
        ("max_new_tokens", 0),
        ("n_logprobs", -1),
        ("seed", -1),
        ("seed", 2**64),
    ],
)
def test_options_out_of_range_are_refused(name: str, value: float) -> None:
    with pytest.raises(BadInput, match=f"{name} must be"):
        SamplingOptions(**{name: value})  # type: ignore[arg-type]
