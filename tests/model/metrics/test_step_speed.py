"""What a step costs and how fast it went, against counts made by others."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from model.base.sizes import ModelShape
from model.data.token_cache import open_token_cache
from model.data.token_data import training_bytes_per_token
from model.metrics.device_peak import peak_flop_per_second
from model.metrics.flops import flop_per_token
from model.metrics.gpus import named_peak
from model.metrics.step_speed import StepSpeed
from model.network.transformer import Transformer, initialise
from model.pretrain import pretrain
from tests.model.tiny_corpus import SHAPE, TinyCorpus, read_metrics, write_tokens

CPU = torch.device("cpu")


@pytest.mark.parametrize("changed", [{}, {"kv_heads": 4, "tied_embeddings": False}, {"layers": 1, "head_dim": 16}])
def test_the_cost_of_a_token_is_what_torch_counts(changed: dict[str, Any]) -> None:
    shape = ModelShape(**{**SHAPE, **changed})
    model = Transformer(shape)
    initialise(model, 0)
    tokens = torch.randint(0, shape.vocab_size, (2, shape.context))
    with FlopCounterMode(display=False) as counter:
        model(tokens, tokens).backward()
    assert counter.get_total_flops() == pytest.approx(flop_per_token(shape) * tokens.numel(), rel=0.01)


def test_gpus_are_known_by_their_names() -> None:
    peaks = {
        "NVIDIA H100 80GB HBM3": 989e12,
        "NVIDIA H100 PCIe": 756e12,
        "NVIDIA A100-SXM4-80GB": 312e12,
        "NVIDIA L40S": 362e12,
        "NVIDIA L4": 121e12,
        "NVIDIA GeForce RTX 4090": 165e12,
        "NVIDIA GeForce RTX 4090 Laptop GPU": None,
        "NVIDIA RTX A4000": None,
    }
    assert {name: named_peak(name) for name in peaks} == peaks


def test_a_cpu_is_measured() -> None:
    peak = peak_flop_per_second(CPU, torch.float32)
    assert peak is not None and 1e8 < peak < 1e14


def test_a_line_counts_the_steps_since_the_last_one() -> None:
    speed = StepSpeed(ModelShape(**SHAPE), CPU, torch.float32, processes=2, bytes_per_token=4.0)
    assert speed.peak_flop_per_second is not None
    speed.add(300, 2.0, 0.5)
    speed.add(100, 2.0, 0.0)
    line = speed.line(loss=2.0)
    assert line["tokens_per_second"] == 100 and line["data_wait"] == 0.125
    expected = 100 * flop_per_token(ModelShape(**SHAPE)) / speed.peak_flop_per_second
    assert line["mfu"] == pytest.approx(expected, abs=1e-4)
    assert line["bits_per_byte"] == pytest.approx(2.0 / math.log(2) / 4.0)
    assert line["peak_memory_bytes"] > 1 << 20
    speed.add(7, 1.0, 0.0)
    assert speed.line(loss=1.0)["tokens_per_second"] == 7


def test_bytes_of_a_token_are_those_of_the_training_documents(tmp_path: Path) -> None:
    rows = [
        {"id": "a", "tokens": [0, 5, 6, 7, 0], "n_bytes": 9, "split": "train"},
        {"id": "b", "tokens": [0, 5, 0], "n_bytes": 3, "split": "train"},
        {"id": "c", "tokens": [0, 5, 6, 0], "n_bytes": 99, "split": "validation"},
    ]
    write_tokens(tmp_path / "some", [rows])
    assert training_bytes_per_token(open_token_cache(tmp_path / "some", tmp_path / "cache")) == 12 / 6
    write_tokens(tmp_path / "none", [rows[2:]])
    assert training_bytes_per_token(open_token_cache(tmp_path / "none", tmp_path / "cache")) is None


def test_step_lines_report_speed_and_memory(corpus: TinyCorpus, tmp_path: Path) -> None:
    assert pretrain(corpus.pretrain_config(tmp_path / "base", 3)) == 0
    for event in read_metrics(tmp_path / "base" / "metrics.jsonl"):
        if event["event"] == "step":
            assert 0 <= event["data_wait"] <= 1 and event["mfu"] > 0 and event["peak_memory_bytes"] > 0
            assert 0.2 < event["bits_per_byte"] / event["loss"] < 1.0
