"""Decoding and reading of prompts beside transformers and llama.cpp, by size, batch, precision and threads."""

from pathlib import Path
from typing import get_args

import pytest
import torch

from model.gguf_export import write_gguf
from model.inference.decoders.decoder import WeightPrecision
from tests.bench.inference.decode_sides import (
    NEW,
    PROMPT,
    SHAPES,
    OurSide,
    TransformersSide,
    export_of,
    llama_seconds,
    seconds,
)
from tests.model.tiny_corpus import make_tiny_corpus

ROUNDS = 3
AIMS = {("2M", 1, "float32"): 3.0, ("2M", 16, "float32"): 3.0, ("14M", 1, "float32"): 1.5, ("14M", 1, "int8"): 3.0}
"""Tokens/s of ours over those of transformers, at least, with one thread."""
SLOWEST = 1.3
"""Seconds a token of ours over those of llama.cpp, at most, with one thread and one sequence."""

PRECISIONS = get_args(WeightPrecision)
STORED: dict[WeightPrecision, str] = {"float32": "float32", "bfloat16": "float16", "int8": "q8_0"}
"""Ours to the nearest of llama.cpp's."""


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """An export folder of each size, with what llama.cpp reads."""
    root = tmp_path_factory.mktemp("decode")
    corpus = make_tiny_corpus(root)
    folders = {name: export_of(shape, root / name, corpus.tokenizer) for name, shape in SHAPES.items()}
    for folder in folders.values():
        for stored in STORED.values():
            write_gguf(folder, folder / f"{stored}.gguf", stored)
    return folders


@pytest.mark.bench
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("batch", [1, 16])
@pytest.mark.parametrize("size", SHAPES)
def test_generation_beside_transformers_and_llama_cpp(
    exports: dict[str, Path], size: str, batch: int, threads: int
) -> None:
    torch.set_num_threads(threads)
    theirs = TransformersSide(exports[size], batch)
    measured = seconds(theirs.tokens, ROUNDS)
    told = {f"transformers: ms a step, and for prompts of {PROMPT}": (measured.token * 1e3, measured.prompt * 1e3)}
    misses = []
    for precision in PRECISIONS:
        ours = OurSide(exports[size], precision, batch)
        if precision == "float32":
            assert ours.tokens(NEW) == theirs.tokens(NEW)
        own = seconds(ours.tokens, ROUNDS)
        llama = llama_seconds(exports[size] / f"{STORED[precision]}.gguf", batch, ROUNDS)
        told[f"{precision}: ms a step, and for prompts"] = own.token * 1e3, own.prompt * 1e3
        told[f"{precision}: speed over transformers'"] = measured.token / own.token, measured.prompt / own.prompt
        told[f"{precision}: speed over llama.cpp's {STORED[precision]}"] = (
            llama.token / own.token,
            llama.prompt / own.prompt,
        )
        told[f"{precision}: MB of weights, and of cache"] = (
            ours.decoder.weight_bytes / 1e6,
            ours.decoder.cache_bytes / 1e6,
        )
        if threads == 1 and measured.token / own.token < AIMS.get((size, batch, precision), 0):
            misses.append(f"{precision} beside transformers")
        if threads == batch == 1 and own.token > SLOWEST * llama.token:
            misses.append(f"{precision} beside llama.cpp")
    print(f"\n{size}, batch {batch}, threads {threads}")
    for name, (token, prompt) in told.items():
        print(f"  {name:<50} {token:10.3f} {prompt:10.3f}")
    assert not misses
