"""Pretraining that also notes which sequences each process trains on: `-m tests.model.recorded_pretraining CONFIG`.

Beside the model folder lies `seen-<world size>-<rank>.jsonl`, a line for each batch: [step, digests of its rows].
"""

import json
import sys
from pathlib import Path

import xxhash

from model.base.program import run_program
from model.data.packed_sequences import Batch, PackedSequences
from model.pretrain import pretrain


def recorded(config: Path) -> int:
    """`pretrain`, every batch noted as the loop asks for it."""
    folder = Path(json.loads(config.read_text())["folder"])
    batch_of = PackedSequences.batch

    def batch(self: PackedSequences, step: int, rank: int, world_size: int) -> Batch:
        made = batch_of(self, step, rank, world_size)
        rows: list[str] = []
        for inputs, targets in zip(made.inputs, made.targets, strict=True):
            length = int((targets >= 0).nonzero()[0].max(initial=-1)) + 1
            rows += [xxhash.xxh3_64_hexdigest(inputs[:length].tobytes())] if length else []
        with folder.with_name(f"seen-{world_size}-{rank}.jsonl").open("a") as file:
            file.write(json.dumps([step, rows]) + "\n")
        return made

    PackedSequences.batch = batch  # type: ignore[method-assign]
    return pretrain(config)


if __name__ == "__main__":
    sys.exit(run_program(recorded, sys.argv[1:], "usage: -m tests.model.recorded_pretraining CONFIG.json"))
