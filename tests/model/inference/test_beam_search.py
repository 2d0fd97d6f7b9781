"""Beam search beside transformers' on fixed prompts, and by its own rules."""

from pathlib import Path
from typing import Any

import pytest
import torch

from model.base.errors import BadInput
from model.inference.beam_search import BeamOptions, beam_search
from model.inference.engine import Engine, EngineLimits, engine_of
from tests.model.continuations import continued
from tests.model.network.test_transformer import random_model
from tests.model.parrot import write_export
from tests.model.tiny_corpus import TinyCorpus

PROMPTS = [[5], [7, 8, 9, 10, 11, 12], [3, 4], list(range(30, 50)), [200, 9, 200, 9]]


@pytest.fixture(scope="module")
def engine() -> Engine:
    """An engine with room for six beams."""
    return engine_of(random_model(context=96), limits=EngineLimits(slots=6))


@pytest.fixture(scope="module")
def theirs(corpus: TinyCorpus, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The same model in transformers."""
    transformers = pytest.importorskip("transformers")
    folder: Path = tmp_path_factory.mktemp("beams") / "export"
    write_export(folder, random_model(context=96), corpus.tokenizer)
    return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


@pytest.mark.parametrize(
    "options",
    [
        BeamOptions(beams=1),
        BeamOptions(beams=4, max_new_tokens=12),
        BeamOptions(beams=4, max_new_tokens=20, stop_ids=frozenset({136, 293, 211, 14})),
        BeamOptions(beams=3, max_new_tokens=20, stop_ids=frozenset(range(0, 384, 9)), length_penalty=2.0),
        BeamOptions(beams=3, max_new_tokens=20, stop_ids=frozenset(range(0, 384, 9)), length_penalty=-1.0),
        BeamOptions(beams=5, max_new_tokens=20, stop_ids=frozenset(range(0, 384, 9)), early_stopping=True),
    ],
    ids=["one beam", "no stop", "stops", "long ones favoured", "short ones favoured", "early stopping"],
)
@pytest.mark.parametrize("prompt", PROMPTS, ids=range(len(PROMPTS)))
def test_the_texts_are_those_of_transformers(
    engine: Engine, theirs: Any, options: BeamOptions, prompt: list[int]
) -> None:
    made = theirs.generate(
        torch.tensor([prompt]),
        attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
        num_beams=options.beams,
        num_return_sequences=options.beams,
        max_new_tokens=options.max_new_tokens,
        length_penalty=options.length_penalty,
        early_stopping=options.early_stopping,
        eos_token_id=sorted(options.stop_ids) or None,
        pad_token_id=383,
        do_sample=False,
        return_dict_in_generate=True,
        output_scores=True,
    )
    found = beam_search(engine.decoder, prompt, options)
    for beam, row in zip(found, made.sequences.tolist(), strict=True):
        expected = row[len(prompt) :]
        assert list(beam.token_ids) == expected[: len(beam.token_ids)]
        assert set(expected[len(beam.token_ids) :]) <= {383}
    if options.beams > 1:
        assert [beam.score for beam in found] == pytest.approx(made.sequences_scores.tolist(), rel=1e-5, abs=1e-4)


def test_one_beam_is_the_greedy_continuation(engine: Engine) -> None:
    (beam,) = beam_search(engine.decoder, [7, 8, 9], BeamOptions(beams=1, max_new_tokens=10))
    assert [list(beam.token_ids)] == continued(engine, [[7, 8, 9]], 10)


def test_a_search_ends_where_the_context_ends(engine: Engine) -> None:
    prompt = [1] * 92
    assert {len(beam.token_ids) for beam in beam_search(engine.decoder, prompt, BeamOptions(beams=3))} == {4}


def test_what_does_not_fit_is_refused(engine: Engine) -> None:
    with pytest.raises(BadInput, match="7 beams need as many slots, and there are 6"):
        beam_search(engine.decoder, [1], BeamOptions(beams=7))
    for prompt in ([], [1] * 96):
        with pytest.raises(BadInput, match=f"the prompt has {len(prompt)} tokens; it needs 1 to 95"):
            beam_search(engine.decoder, prompt, BeamOptions())
    with pytest.raises(BadInput, match="at least 1"):
        BeamOptions(beams=0)
