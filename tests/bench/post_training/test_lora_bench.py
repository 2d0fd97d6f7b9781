"""Finetuning with adapters beside that of all weights: memory, checkpoints and pace of the same steps, on a CPU.

Notable: each run is a process of its own, so that its peak is its own. Its pace is processor time of the steps beyond
the first two, as the difference of two runs, which leaves out imports and reading.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from model.base.sizes import ModelShape
from model.network.transformer import Transformer, initialise
from tests.bench.side_by_side import median_ratio, rates_in_turn, show
from tests.conftest import ROOT
from tests.model.parrot import write_export
from tests.model.tiny_corpus import SHAPE, make_tiny_corpus, read_metrics, write_json

SIZES = {"layers": 6, "hidden_size": 384, "intermediate_size": 1024, "vocab_size": 4096, "context": 256}
SIDES: dict[str, dict[str, Any]] = {"all": {}, "adapters": {"lora": {"rank": 16, "alpha": 32}}}
FEW, MANY, ROUNDS = 2, 6, 2


@pytest.mark.bench
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_memory_and_pace_beside_all_weights(tmp_path: Path, optimizer: str) -> None:
    corpus = make_tiny_corpus(tmp_path)
    model = Transformer(ModelShape(**(SHAPE | SIZES)))
    initialise(model, 0)
    base = write_export(tmp_path / "base", model, corpus.tokenizer)
    turns = [{"role": "user", "content": "Go on."}, {"role": "assistant", "content": "so on and on " * 16}]
    (tmp_path / "chat.jsonl").write_text((json.dumps({"messages": turns}) + "\n") * 64)
    peaks, saved = {}, {}

    def seconds(side: str, steps: int) -> float:
        folder = tmp_path / f"{side}-{len(list(tmp_path.iterdir()))}"
        config = {
            "folder": str(folder),
            "base": str(base),
            "tokenizer": str(corpus.tokenizer),
            "conversations": str(tmp_path / "chat.jsonl"),
            "held_out_fraction": 0.0,
            "loop": {"steps": steps, "global_batch_size": 4, "threads": 1, "precision": "float32"},
            "optimizer": {"name": optimizer},
            **SIDES[side],
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "model.sft", str(write_json(folder.with_suffix(".json"), config))],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0
        events = [event for event in read_metrics(folder / "metrics.jsonl") if event["event"] == "step"]
        peaks[side] = float(events[-1]["peak_memory_bytes"])
        saved[side] = float(sum(file.stat().st_size for file in (folder / "checkpoints").rglob("*") if file.is_file()))
        return usage.ru_utime + usage.ru_stime

    def rate(side: str) -> float:
        return (MANY - FEW) / (seconds(side, MANY) - seconds(side, FEW))

    rates = rates_in_turn({side: lambda side=side: rate(side) for side in SIDES}, ROUNDS)  # type: ignore[misc]
    show(
        f"finetuning with adapters beside all weights, {optimizer}",
        {
            "tokens/s": median_ratio(rates["adapters"], rates["all"]),
            "peak memory": peaks["adapters"] / peaks["all"],
            "checkpoint": saved["adapters"] / saved["all"],
        },
    )
    assert peaks["adapters"] < peaks["all"] and saved["adapters"] < saved["all"]
