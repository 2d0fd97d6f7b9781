"""Both decoders against the model's own passes, in every shape and precision; and in company against alone."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from model.inference.decoders import c_decoder, torch_decoder
from model.inference.decoders.c_decoder import CDecoder, c_decoder_available
from model.inference.decoders.decoder import Decoder, DecoderWeights, Rows, WeightPrecision, decoder_weights, quantised
from model.inference.decoders.torch_decoder import TorchDecoder
from model.inference.loading import exported_names
from model.network.transformer import Transformer
from tests.model.network.test_transformer import every_shape, random_model, random_tokens

SLOTS, CONTEXT, MOST_ROWS = 40, 32, 64
Make = Callable[[DecoderWeights, WeightPrecision], Decoder]


def c_made(weights: DecoderWeights, precision: WeightPrecision) -> Decoder:
    """The decoder in C."""
    return CDecoder(weights, SLOTS, CONTEXT, precision, MOST_ROWS)


def torch_made(weights: DecoderWeights, precision: WeightPrecision) -> Decoder:
    """The decoder in torch."""
    return TorchDecoder(weights, SLOTS, CONTEXT, precision, torch.device("cpu"))


both = pytest.mark.parametrize(
    "make",
    [
        pytest.param(c_made, id="C", marks=pytest.mark.skipif(not c_decoder_available(), reason="no C compiler")),
        pytest.param(torch_made, id="torch"),
    ],
)


def weights(model: Transformer) -> DecoderWeights:
    """A model's weights for a decoder."""
    return decoder_weights(model.shape, exported_names(model))


def read(decoder: Decoder, tokens: list[int], slot: int = 0, start: int = 0) -> Tensor:
    """The logits of all positions of a piece of a sequence."""
    numbers = range(len(tokens))
    rows = Rows(tokens, [slot] * len(tokens), [start + number for number in numbers], list(numbers))
    return decoder.forward(rows).clone()


@both
@every_shape
def test_logits_are_those_of_the_model(make: Make, changes: dict[str, Any]) -> None:
    model = random_model(**changes)
    tokens = random_tokens(1, 30)
    with torch.no_grad():
        expected = model(tokens)[0]
    torch.testing.assert_close(read(make(weights(model), "float32"), tokens[0].tolist()), expected, atol=2e-4, rtol=0)


@both
@pytest.mark.parametrize("precision", ["bfloat16", "int8"])
def test_rounded_weights_give_the_logits_of_a_model_with_rounded_weights(
    make: Make, precision: WeightPrecision
) -> None:
    model = random_model(hidden_size=40, intermediate_size=36)
    tokens = random_tokens(1, 30)
    rounded = random_model(hidden_size=40, intermediate_size=36)
    with torch.no_grad():
        for parameter in rounded.parameters():
            if parameter.ndim > 1 and precision == "int8":
                values, scales = quantised(parameter)
                parameter.copy_(values * scales.unsqueeze(1))
            elif parameter.ndim > 1:
                parameter.copy_(parameter.bfloat16())
        expected = rounded(tokens)[0]
    found = read(make(weights(model), precision), tokens[0].tolist())
    # In torch, activations and cache are bfloat16 too.
    exact = precision == "int8" or make is c_made
    torch.testing.assert_close(found, expected, atol=5e-4 if exact else 0.5, rtol=0)


@pytest.mark.skipif(not c_decoder_available(), reason="no C compiler")
@pytest.mark.parametrize("precision", ["float32", "bfloat16", "int8"])
@pytest.mark.parametrize("threads", [1, 2])
def test_in_c_the_bits_do_not_depend_on_company_or_chunks(
    precision: WeightPrecision, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(c_decoder, "_PRODUCTS_PER_THREAD", 1)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        decoder = c_made(weights(random_model(heads=8, kv_heads=2, layers=2)), precision)
    finally:
        torch.set_num_threads(before)
    tokens = random_tokens(1, 30)[0].tolist()
    whole = read(decoder, tokens)
    for size in (1, 2, 3, 5, 7, 13):
        pieces = [read(decoder, tokens[at : at + size], slot=1, start=at) for at in range(0, 30, size)]
        assert torch.equal(torch.cat(pieces), whole), size
    for company in range(1, 9):
        others = [token + 1 for token in range(company)]
        rows = Rows([*others, tokens[29]], [*range(2, 2 + company), 1], [*[0] * company, 29], [company])
        assert torch.equal(decoder.forward(rows)[0], whole[29]), company


@pytest.mark.skipif(not c_decoder_available(), reason="no C compiler")
def test_in_c_a_pass_with_more_rows_than_there_is_memory_for_is_refused() -> None:
    decoder = c_made(weights(random_model()), "float32")
    rows = Rows([1] * (MOST_ROWS + 1), [0] * (MOST_ROWS + 1), list(range(MOST_ROWS + 1)), [0])
    with pytest.raises(ValueError, match="at most 64 rows and 40 wanted ones: got 65 and 1"):
        decoder.forward(rows)


@both
def test_a_copied_beginning_is_as_good_as_one_that_was_read(make: Make) -> None:
    decoder = make(weights(random_model()), "float32")
    tokens = random_tokens(1, 30)[0].tolist()
    whole = read(decoder, tokens, slot=3)
    decoder.copy(3, 5, 11)
    read(decoder, [1] * 30, slot=3)
    torch.testing.assert_close(read(decoder, tokens[11:], slot=5, start=11), whole[11:])


@both
def test_memory_is_stated(make: Make) -> None:
    model = random_model()
    shape = model.shape
    decoder = make(weights(model), "float32")
    assert decoder.cache_bytes == 2 * shape.layers * SLOTS * CONTEXT * shape.kv_heads * shape.head_dim * 4
    matrices = sum(parameter.nbytes for parameter in model.parameters() if parameter.ndim > 1)
    assert decoder.weight_bytes == matrices
    assert make(weights(model), "bfloat16").weight_bytes == matrices / 2
    assert make(weights(model), "int8").weight_bytes < 0.3 * matrices


def test_a_captured_pass_is_the_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is captured on a GPU, run here without a graph: rounded sizes and inputs that are written in place."""

    def held(run: Callable[[], Tensor]) -> tuple[Callable[[], Any], Tensor]:
        result = run()
        return lambda: result.copy_(run()), result

    monkeypatch.setattr(torch_decoder, "captured", held)
    decoder = torch_made(weights(random_model()), "float32")
    assert isinstance(decoder, TorchDecoder)
    tokens = random_tokens(3, 20).tolist()
    for slot, row in enumerate(tokens):
        read(decoder, row[:10], slot)
    with torch.inference_mode():
        for at in range(10, 20):
            rows = Rows([row[at] for row in tokens], [0, 1, 2], [at] * 3, [0, 1, 2])
            replayed = decoder._replay(rows).clone()
            torch.testing.assert_close(replayed, decoder.forward(rows))
    assert set(decoder._captured) == {(4, CONTEXT)}


def test_without_a_compiler_there_is_no_decoder_in_c(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setattr(c_decoder, "_library", c_decoder._library.__wrapped__)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    assert not c_decoder_available()
    monkeypatch.setenv("CC", "/bin/false")
    assert not c_decoder_available(), "a compiler that fails"
    assert list((tmp_path / "sluice").iterdir()) == []


def test_a_folder_that_others_write_to_is_not_run_from(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setattr(c_decoder, "_library", c_decoder._library.__wrapped__)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "sluice").mkdir()
    (tmp_path / "sluice").chmod(0o777)
    assert not c_decoder_available()
