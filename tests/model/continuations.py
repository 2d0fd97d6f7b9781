"""Greedy continuations by the engine, for tests that compare them with other programs'."""

from collections.abc import Collection, Sequence

from model.inference.engine import Engine
from model.inference.requests import GenerationRequest, SamplingOptions


def continued(
    engine: Engine, prompts: Sequence[Sequence[int]], max_new_tokens: int, stop_ids: Collection[int] = ()
) -> list[list[int]]:
    """The likeliest continuation of each prompt, without its stop token."""
    options = SamplingOptions(max_new_tokens=max_new_tokens, stop_ids=frozenset(stop_ids))
    made = engine.generate([GenerationRequest(tuple(prompt), options) for prompt in prompts])
    return [generation.token_ids for generation in made]
