"""The loader beside the training step that it feeds, its memory over a long epoch, and the tokens stage's encoding."""

import json
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
import xxhash
from tokenizers import Tokenizer

from model.base.learning_config import OptimizerConfig
from model.data.token_cache import open_token_cache
from tasks.tokenize.encoding import TokensConfig, tokens_table
from tasks.tokenize.tokenizer_training import TokenizerConfig, encoder, train_tokenizer
from tests.bench.side_by_side import median_ratio, rates_in_turn, show
from tests.bench.training.our_training import our_training
from tests.bench.training.packed_corpus import TWO_MILLION, open_packed_corpus, write_packed_corpus
from tests.conftest import ROOT

BATCHES = 150
ROUNDS = 3
LONG_DOCUMENTS = 160_000
"""Documents of an epoch of 100M tokens."""


@pytest.mark.bench
def test_the_loader_is_far_ahead_of_the_training_step(packed_corpus: Path) -> None:
    data = open_packed_corpus(packed_corpus)[0]

    def load() -> float:
        began = time.perf_counter()
        full = sum(data.batch(step, 0, 1).tokens_in_step for step in range(BATCHES))
        seconds = time.perf_counter() - began
        assert full >= 0.99 * BATCHES * TWO_MILLION.tokens_per_step
        return BATCHES * TWO_MILLION.tokens_per_step / seconds

    rates = rates_in_turn(
        {"load": load, "train": our_training(packed_corpus, OptimizerConfig(), warmup=2, steps=6)}, ROUNDS
    )
    ratio = median_ratio(rates["load"], rates["train"])
    show("Loader, tokens/s over those of the training step at 2.2M parameters", {"batches over steps": ratio})
    assert ratio >= 50


@pytest.mark.bench
@pytest.mark.timeout(900)
def test_memory_is_flat_over_an_epoch_of_100m_tokens(tmp_path: Path) -> None:
    write_packed_corpus(tmp_path, LONG_DOCUMENTS)
    context, sequences = TWO_MILLION.shape.context, TWO_MILLION.sequences
    open_token_cache(tmp_path / "tokens", tmp_path / "cache")
    given = [tmp_path, tmp_path / "cache", context, sequences]
    command = [sys.executable, "-m", "tests.bench.training.long_epoch", *map(str, given)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    dataset = (tmp_path / "tokens" / "part-00000.parquet").stat().st_size / 2**20
    # The first samples still see the interpreter and numpy settle.
    growth = {name: max(found[name]) - found[name][1] for name in ("resident", "anonymous")}
    show(
        f"Memory over an epoch of {found['tokens'] / 1e6:.0f}M tokens ({dataset:.0f} MiB in Parquet)",
        {f"growth of {name} memory after its first twentieth, MiB": value for name, value in growth.items()},
    )
    assert found["tokens"] > 100_000_000
    assert growth["resident"] < 48 and growth["anonymous"] < 8


@pytest.mark.bench
def test_encoding_is_as_fast_as_the_library_and_faster_than_one_text_at_a_time() -> None:
    """The whole of the tokens stage beside encoding alone: in batches on all cores, and text by text."""
    draws = random.Random(0)
    words = ["".join(draws.choices("abdeghiklmnorstuw", k=draws.randint(1, 9))) for _ in range(3000)]
    texts = [" ".join(draws.choices(words, k=draws.randint(50, 900))) for _ in range(3000)]
    tokenizer = encoder(train_tokenizer(iter(texts[:1000]), TokenizerConfig(vocab_size=4096)).to_str())
    hashes = [xxhash.xxh3_128_hexdigest(text) for text in texts]
    documents = pa.table({"id": hashes, "text": texts, "text_hash": hashes})
    size = sum(len(text.encode()) for text in texts)

    def rate(work: Callable[[Tokenizer], object]) -> Callable[[], float]:
        def worker() -> float:
            began = time.perf_counter()
            work(tokenizer)
            return size / (time.perf_counter() - began)

        return worker

    workers = {
        "stage": rate(lambda tokenizer: tokens_table(documents, tokenizer, TokensConfig())),
        "batch": rate(lambda tokenizer: tokenizer.encode_batch_fast(texts, add_special_tokens=False)),
        "one": rate(lambda tokenizer: [tokenizer.encode(text, add_special_tokens=False).ids for text in texts]),
    }
    rates = rates_in_turn(workers, 5)
    over_batch, over_one = (median_ratio(rates["stage"], rates[name]) for name in ("batch", "one"))
    show(
        "The tokens stage (encoding, boundaries, split, columns), bytes/s over",
        {"the library's encode_batch alone": over_batch, "one text at a time, as datatrove has it": over_one},
    )
    assert over_batch >= 0.8
    assert over_one >= 1.0
