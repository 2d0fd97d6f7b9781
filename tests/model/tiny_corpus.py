"""A corpus small enough to train on within a test: tokens, packing plan, tokenizer, conversations and questions."""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from tests.conftest import ROOT

CONTEXT = 32
SHAPE: dict[str, Any] = {
    "vocab_size": 384,
    "layers": 2,
    "hidden_size": 32,
    "heads": 4,
    "kv_heads": 2,
    "intermediate_size": 64,
    "context": CONTEXT,
}
SPECIAL_TOKENS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
TOKENS_SCHEMA = pa.schema(
    [("id", pa.string()), ("tokens", pa.list_(pa.uint16())), ("n_bytes", pa.int32()), ("split", pa.string())]
)
SEGMENT = pa.struct([(name, pa.int32()) for name in ("part", "row", "start", "length")])


@dataclass(frozen=True)
class TinyCorpus:
    """Where its files are."""

    root: Path

    @property
    def tokens(self) -> Path:
        """The tokens dataset."""
        return self.root / "tokens"

    @property
    def packing(self) -> Path:
        """The packing plan."""
        return self.root / "packing"

    @property
    def tokenizer(self) -> Path:
        """tokenizer.json."""
        return self.root / "tokenizer.json"

    def pretrain_config(self, folder: Path, steps: int, **loop: Any) -> Path:
        """Writes a pretraining config beside `folder` and returns its path."""
        values = {
            "folder": str(folder),
            "tokens": str(self.tokens),
            "packing": str(self.packing),
            "cache": str(self.root / "cache"),
            "shape": SHAPE,
            "loop": {"steps": steps, "global_batch_size": 4, "threads": 1, "seed": 3, **loop},
        }
        return write_json(folder.with_suffix(".pretrain.json"), values)

    def sft_config(self, folder: Path, base: Path, steps: int, **loop: Any) -> Path:
        """Writes a finetuning config beside `folder` and returns its path."""
        values = {
            "folder": str(folder),
            "base": str(base),
            "tokenizer": str(self.tokenizer),
            "conversations": str(self.root / "chat.jsonl"),
            "held_out_fraction": 0.0,
            "loop": {"steps": steps, "global_batch_size": 4, "threads": 1, **loop},
        }
        return write_json(folder.with_suffix(".sft.json"), values)


def write_json(path: Path, values: Any) -> Path:
    """Writes `values` to `path` and returns it."""
    path.write_text(json.dumps(values), encoding="utf-8")
    return path


def write_tokens(folder: Path, parts: list[list[dict[str, Any]]]) -> None:
    """Writes a tokens dataset."""
    folder.mkdir(parents=True)
    for number, rows in enumerate(parts):
        table = pa.Table.from_pylist(rows, schema=TOKENS_SCHEMA)
        pq.write_table(table, folder / f"part-{number:05d}.parquet", row_group_size=16)


def write_plan(folder: Path, sequences: list[list[dict[str, int]]]) -> None:
    """Writes a packing plan."""
    folder.mkdir(parents=True)
    columns = {
        "sequence": pa.array(range(len(sequences)), pa.int64()),
        "segments": pa.array(sequences, pa.list_(SEGMENT)),
    }
    pq.write_table(pa.table(columns), folder / "part-00000.parquet")


def make_tiny_corpus(root: Path) -> TinyCorpus:
    """Writes the corpus: 60 documents about invented towns, some longer than the context."""
    draws = random.Random(7)
    towns = [f"{first}{second}" for first in ("Ka", "Bo", "Li", "Te") for second in ("ram", "vosk", "nel")]
    goods = ["salt", "wool", "glass", "fish", "amber", "iron"]
    known_for = {town: draws.choice(goods) for town in towns}
    texts = [
        " ".join(f"{town} sells {known_for[town]}." for town in draws.sample(towns, draws.randint(1, 6)))
        for _ in range(60)
    ]
    texts[5] = " ".join(f"{town} sells {known_for[town]}." for town in towns * 2)
    tokenizer = _train_tokenizer(texts)
    tokenizer.save(str(root / "tokenizer.json"))
    rows = [
        {
            "id": f"doc:{number}",
            "tokens": [0, *tokenizer.encode(text).ids, 0],
            "n_bytes": len(text.encode()),
            "split": "validation" if number % 6 == 5 else "train",
        }
        for number, text in enumerate(texts)
    ]
    parts = [rows[:25], rows[25:]]
    write_tokens(root / "tokens", parts)
    write_plan(root / "packing", _packed(parts))
    with (root / "chat.jsonl").open("w", encoding="utf-8") as chat, (root / "questions.jsonl").open("w") as questions:
        for number, (town, good) in enumerate(known_for.items()):
            question, answer = f"What sells {town}?", f"{town} sells {good}."
            messages = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
            chat.write(json.dumps({"id": f"c{number}", "messages": messages}) + "\n")
            group = "held_out" if number % 2 else "seen"
            line = {"id": f"q{number}", "question": question, "answer": good, "group": group}
            questions.write(json.dumps(line) + "\n")
    return TinyCorpus(root)


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """All whole lines of a metrics log that may be in the writing; none if there is no log."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]


def start_program(
    module: str, config: Path, launcher: tuple[str, ...] = (), **environment: str
) -> subprocess.Popen[str]:
    """Starts `python -m module config`, in its own process group, under `launcher` where one is given."""
    command = [sys.executable, *launcher, "-m", module, str(config)]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        env={**os.environ, "ACCELERATE_USE_CPU": "true", **environment},
    )


def run_program(module: str, config: Path, launcher: tuple[str, ...] = (), **environment: str) -> tuple[int, str]:
    """Runs a program to its end and returns its exit code and output."""
    process = start_program(module, config, launcher, **environment)
    output, _ = process.communicate(timeout=300)
    return process.returncode, output


def kill_group(process: subprocess.Popen[str]) -> None:
    """Ends a started program and all its children with SIGKILL."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _train_tokenizer(texts: list[str]) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=SHAPE["vocab_size"],
        special_tokens=SPECIAL_TOKENS,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def _packed(parts: list[list[dict[str, Any]]]) -> list[list[dict[str, int]]]:
    sequences: list[list[dict[str, int]]] = [[]]
    room = CONTEXT + 1
    for part, rows in enumerate(parts):
        for row, document in enumerate(rows):
            start, left = 0, len(document["tokens"]) if document["split"] == "train" else 0
            while left:
                length = min(left, room)
                sequences[-1].append({"part": part, "row": row, "start": start, "length": length})
                start, left, room = start + length, left - length, room - length
                if room == 0:
                    sequences.append([])
                    room = CONTEXT + 1
    return [sequence for sequence in sequences if sequence]
