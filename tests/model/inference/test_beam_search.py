"""Beam search beside transformers' on fixed prompts, and by its own rules."""

from pathlib import Path
from typing import Any

import pytest
import torch

from model.base.errors import BadInput
from model.inference.engine import Engine, EngineLimits, engine_of
from model.inference.requests import Beam, GenerationRequest, SamplingOptions
from tests.model.continuations import continued
from tests.model.network.test_transformer import random_model
from tests.model.parrot import write_export
from tests.model.tiny_corpus import TinyCorpus

PROMPTS = [[5], [7, 8, 9, 10, 11, 12], [3, 4], list(range(30, 50)), [200, 9, 200, 9]]


@pytest.fixture(scope="module")
def engine() -> Engine:
    """An engine with room for six beams, which reads a prompt in chunks."""
    return engine_of(random_model(context=96), limits=EngineLimits(slots=6, chunk=5))


@pytest.fixture(scope="module")
def theirs(corpus: TinyCorpus, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The same model in transformers."""
    transformers = pytest.importorskip("transformers")
    folder: Path = tmp_path_factory.mktemp("beams") / "export"
    write_export(folder, random_model(context=96), corpus.tokenizer)
    return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


STOPS = frozenset(range(0, 384, 9))
SEARCHES = {
    "no stop": SamplingOptions(num_beams=4, max_new_tokens=12),
    "stops": SamplingOptions(num_beams=4, max_new_tokens=20, stop_ids=frozenset({136, 293, 211, 14})),
    "long ones favoured": SamplingOptions(num_beams=3, max_new_tokens=20, stop_ids=STOPS, length_penalty=2.0),
    "short ones favoured": SamplingOptions(num_beams=3, max_new_tokens=20, stop_ids=STOPS, length_penalty=-1.0),
    "six beams": SamplingOptions(num_beams=6, max_new_tokens=20, stop_ids=STOPS),
}


def searched(engine: Engine, prompt: list[int], options: SamplingOptions) -> tuple[Beam, ...]:
    """The beams that a search ends with, the first of which is what the request returns."""
    (made,) = engine.generate([GenerationRequest(tuple(prompt), options)])
    beams = made.events[-1].beams
    assert tuple(event.token_id for event in made.events) == beams[0].token_ids
    return beams


@pytest.mark.parametrize("options", SEARCHES.values(), ids=SEARCHES)
@pytest.mark.parametrize("prompt", PROMPTS, ids=range(len(PROMPTS)))
def test_the_texts_are_those_of_transformers(
    engine: Engine, theirs: Any, options: SamplingOptions, prompt: list[int]
) -> None:
    made = theirs.generate(
        torch.tensor([prompt]),
        attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
        num_beams=options.num_beams,
        num_return_sequences=options.num_beams,
        max_new_tokens=options.max_new_tokens,
        length_penalty=options.length_penalty,
        eos_token_id=sorted(options.stop_ids) or None,
        pad_token_id=383,
        do_sample=False,
        return_dict_in_generate=True,
        output_scores=True,
    )
    found = searched(engine, prompt, options)
    for beam, row in zip(found, made.sequences.tolist(), strict=True):
        expected = row[len(prompt) :]
        assert list(beam.token_ids) == expected[: len(beam.token_ids)]
        assert set(expected[len(beam.token_ids) :]) <= {383}
    assert [beam.score for beam in found] == pytest.approx(made.sequences_scores.tolist(), rel=1e-5, abs=1e-4)


def test_searches_and_draws_in_company_give_what_they_give_alone(engine: Engine) -> None:
    asked = [
        GenerationRequest((*range(30, 50), at), options)
        for at, options in enumerate([*SEARCHES.values(), SamplingOptions(temperature=1.0, seed=7)] * 2)
    ]
    together = engine.generate(asked)
    assert engine.reused_tokens > 0 and not engine.running
    for request, made in zip(asked, together, strict=True):
        alone = engine_of(random_model(context=96), limits=EngineLimits(slots=6)).generate([request])[0]
        assert (made.token_ids, made.finish_reason) == (alone.token_ids, alone.finish_reason)


def test_a_search_that_is_cancelled_gives_its_slots_back(engine: Engine) -> None:
    request = GenerationRequest((1, 2, 3), SamplingOptions(num_beams=6))
    request_id = engine.add(request)
    for _ in range(3):
        assert engine.step() == []
    engine.cancel(request_id)
    assert [event.finish_reason for event in engine.step()] == ["cancelled"]
    assert continued(engine, [[7, 8, 9]] * 6, 4) == continued(engine, [[7, 8, 9]], 4) * 6


def test_a_search_ends_where_the_context_ends(engine: Engine) -> None:
    found = searched(engine, [1] * 92, SamplingOptions(num_beams=3))
    assert {len(beam.token_ids) for beam in found} == {4}


def test_what_does_not_fit_is_refused(engine: Engine) -> None:
    with pytest.raises(BadInput, match="7 beams need as many slots, and there are 6"):
        engine.add(GenerationRequest((1,), SamplingOptions(num_beams=7)))
    for wrong in ({"temperature": 0.5}, {"repetition_penalty": 1.1}, {"n_logprobs": 1}):
        with pytest.raises(BadInput, match=f"{next(iter(wrong))} must be .* in a beam search"):
            SamplingOptions(num_beams=2, **wrong)
