"""Decoding and reading of prompts beside transformers and llama.cpp, by size, batch and precision."""

from pathlib import Path
from typing import get_args

import pytest
import torch

from model.gguf_export import write_gguf
from model.inference.decoders.decoder import WeightPrecision
from tests.bench.decode_sides import NEW, PROMPT, SHAPES, OurSide, TransformersSide, export_of, llama_seconds, seconds
from tests.bench.side_by_side import show
from tests.model.tiny_corpus import make_tiny_corpus

ROUNDS = 5
AIMS = {("2M", 1, "float32"): 3.0, ("2M", 16, "float32"): 3.0, ("14M", 1, "float32"): 1.5, ("14M", 1, "int8"): 3.0}
"""Tokens/s of ours over those of transformers, at least."""
SLOWEST = 1.3
"""Seconds a token of ours over those of llama.cpp, at most."""

PRECISIONS = get_args(WeightPrecision)
STORED: dict[WeightPrecision, str] = {"float32": "float32", "bfloat16": "float16"}
"""Ours to the nearest of llama.cpp's."""


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """An export folder of each size."""
    root = tmp_path_factory.mktemp("decode")
    corpus = make_tiny_corpus(root)
    torch.set_num_threads(1)
    return {name: export_of(shape, root / name, corpus.tokenizer) for name, shape in SHAPES.items()}


@pytest.mark.bench
@pytest.mark.parametrize("batch", [1, 16])
@pytest.mark.parametrize("size", SHAPES)
def test_generation_beside_transformers(exports: dict[str, Path], size: str, batch: int) -> None:
    theirs = TransformersSide(exports[size], batch)
    measured = seconds(theirs.tokens, ROUNDS)
    ratios = {}
    for precision in PRECISIONS:
        ours = OurSide(exports[size], precision, batch)
        if precision == "float32":
            assert ours.tokens(NEW) == theirs.tokens(NEW)
        own = seconds(ours.tokens, ROUNDS)
        ratios[f"{precision}: tokens/s over transformers'"] = measured.token / own.token
        ratios[f"{precision}: prompts of {PROMPT}, speed over transformers'"] = measured.prompt / own.prompt
        ratios[f"{precision}: ms a step"] = own.token * 1e3
        ratios[f"{precision}: MB of weights"] = ours.decoder.weight_bytes / 1e6
        ratios[f"{precision}: MB of cache"] = ours.decoder.cache_bytes / 1e6
        aim = AIMS.get((size, batch, precision))
        assert aim is None or measured.token / own.token >= aim, ratios
    show(f"{size}, batch {batch}; transformers: {measured.token * 1e3:.2f} ms a step", ratios)


@pytest.mark.bench
@pytest.mark.parametrize("size", SHAPES)
def test_generation_beside_llama_cpp(exports: dict[str, Path], tmp_path: Path, size: str) -> None:
    ratios = {}
    for precision, stored in STORED.items():
        file = tmp_path / f"{stored}.gguf"
        write_gguf(exports[size], file, stored)
        theirs, own = llama_seconds(file, ROUNDS), seconds(OurSide(exports[size], precision, 1).tokens, ROUNDS)
        ratios[f"{precision}, theirs {stored}: seconds a token over llama.cpp's"] = own.token / theirs.token
        ratios[f"{precision}, theirs {stored}: seconds of a prompt of {PROMPT}"] = own.prompt / theirs.prompt
        assert own.token <= SLOWEST * theirs.token, ratios
    show(f"{size}, batch 1", ratios)
