"""What the store says of a tokenizer: the bytes of its tokens, and how it compresses text that it never saw."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from tokenizers import Tokenizer

from flows.report.page import write_report
from flows.report.readers.funnel import read_funnel
from flows.store.run_record import RunRecord
from tasks.base.errors import PermanentError, UsageError
from tasks.dataset.manifest import read_manifest
from tasks.dataset.store import Store
from tasks.tokenize.compression import named_tokenizer
from tasks.tokenize.tokenizer_files import token_bytes_path, tokenizer_path
from tasks.tokenize.tokenizer_training import TokenizerConfig, encoder, train_tokenizer
from tests.flows.report_stores import crawl

Rows = Callable[[str], list[dict[str, Any]]]


@pytest.fixture(scope="module")
def rival(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of another tokenizer, trained on other words."""
    path = tmp_path_factory.mktemp("rival") / "tokenizer.json"
    texts = [f"{first} sold {second} for wool." for first in "abcdefghij" for second in "klmnopqrst"]
    train_tokenizer(iter(texts), TokenizerConfig(vocab_size=270)).save(str(path))
    return path


@pytest.fixture(scope="module")
def store(rival: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, RunRecord, Rows]:
    """A store whose recipe compares tokenizers on documents that the own one never saw."""
    folder = tmp_path_factory.mktemp("store")
    changes = {
        "tokenizer": {"vocab_size": 384, "without_held_out": True, "tools": True},
        "compression": {"tokenizers": {"other": str(rival)}},
    }
    record = crawl(folder, changes)

    def rows(stage: str) -> list[dict[str, Any]]:
        parts = sorted((folder / record.stages[stage].plan.folder).glob("*.parquet"))
        return [row for part in parts for row in pq.read_table(part).to_pylist()]

    return folder, record, rows


def test_the_bytes_of_the_tokens_are_the_bytes_of_the_text(store: tuple[Path, RunRecord, Rows]) -> None:
    folder, record, rows = store
    sizes = np.load(folder / token_bytes_path(record.stages["tokenizer"].plan.fingerprint))
    assert sizes.shape == (384,) and sizes[:7].sum() == 0
    assert all(sizes[row["tokens"]].sum() == row["n_bytes"] for row in rows("tokens"))


def test_compression_is_measured_on_held_out_text(store: tuple[Path, RunRecord, Rows], rival: Path) -> None:
    folder, record, rows = store
    held_out = {row["id"] for row in rows("tokens") if row["split"] == "validation"}
    texts = [row["text"] for row in rows("corpus") if row["id"] in held_out]
    own, other = rows("compression")
    assert (own["tokenizer"], other["tokenizer"]) == ("own", "other")
    files = {"own": folder / tokenizer_path(record.stages["tokenizer"].plan.fingerprint), "other": rival}
    for row in (own, other):
        tokenizer = encoder(files[row["tokenizer"]].read_text())
        assert row["documents"] == len(texts)
        assert row["bytes"] == sum(len(text.encode()) for text in texts)
        assert row["tokens"] == sum(len(tokenizer.encode(text, add_special_tokens=False).ids) for text in texts)
    assert own["tokens"] < other["tokens"], "who learnt from the corpus compresses it better"


def test_the_report_says_both(store: tuple[Path, RunRecord, Rows]) -> None:
    folder, record, rows = store
    said = read_funnel(Store(str(folder)), record).compression
    assert [(one.name, one.bytes_per_token) for one in said] == [
        (row["tokenizer"], row["bytes"] / row["tokens"]) for row in rows("compression")
    ]
    page = write_report(Store(str(folder)), record)
    assert "bytes per token, held out, own tokenizer" in (folder / page).read_text()


def test_the_sample_leaves_out_what_is_held_out(store: tuple[Path, RunRecord, Rows]) -> None:
    folder, record, rows = store
    trained = sum(row["split"] == "train" for row in rows("tokens"))
    manifest = read_manifest(Store(str(folder)), "tokenizer", record.stages["tokenizer"].plan.fingerprint)
    assert manifest and manifest.counters["sample_documents"] == trained < len(rows("tokens"))


def test_what_cannot_be_compared_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"compression\.tokenizers\.gpt2: there is no file /nowhere/gpt2\.json"):
        crawl(tmp_path, {"compression": {"tokenizers": {"gpt2": "/nowhere/gpt2.json"}}})
    with pytest.raises(UsageError, match=r"compression\.tokenizers\.gpt2 is not a tokenizer\.json"):
        named_tokenizer("gpt2", b"{}")
    with pytest.raises(PermanentError, match="No document is held out"):
        crawl(tmp_path, {"tokens": {"validation_fraction": 0.0}, "compression": {}})


def test_another_tokenizers_own_markers_stay_text(rival: Path) -> None:
    tokenizer: Tokenizer = named_tokenizer("other", rival.read_bytes())
    assert 0 not in tokenizer.encode("a<|endoftext|>b", add_special_tokens=False).ids
