"""Generation by our engine, by transformers and by llama.cpp, with equal weights; each says its seconds.

Notable: one thread is measured in processor time, so other work on the machine matters little; several in time that
passes, which needs an idle machine.
"""

import json
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from model.base.sizes import ModelShape
from model.inference.decoders.decoder import WeightPrecision
from model.inference.engine import Engine, EngineLimits, load_engine
from model.network.transformer import Transformer
from tests.environments import environment_with
from tests.model.continuations import continued
from tests.model.parrot import write_export

SHAPES = {
    "2M": ModelShape(2048, 4, 192, 4, 2, 512, 512, tied_embeddings=True),
    "14M": ModelShape(8192, 8, 384, 6, 2, 1024, 512, tied_embeddings=True),
}
PROMPT, NEW = 128, 64
"""Tokens read and made."""


@dataclass(frozen=True)
class Seconds:
    """Of a batch."""

    prompt: float
    """Reading the prompts and making a token each."""
    token: float
    """Each further token of all sequences."""


@torch.no_grad()
def export_of(shape: ModelShape, folder: Path, tokenizer: Path) -> Path:
    """An export folder of random weights that make varied text."""
    model, generator = Transformer(shape), torch.Generator().manual_seed(1)
    for parameter in model.parameters():
        deviation = parameter.shape[1] ** -0.5 if parameter.ndim > 1 else 0.2
        parameter.copy_(torch.randn(parameter.shape, generator=generator) * deviation + (parameter.ndim == 1))
    return write_export(folder, model.eval(), tokenizer)


def prompts(batch: int) -> list[tuple[int, ...]]:
    """As many prompts, all different from their first token on."""
    return [tuple(3 + (at + 17 * row) % 300 for at in range(PROMPT)) for row in range(batch)]


def seconds(generate: Callable[[int], object], rounds: int) -> Seconds:
    """The least of some rounds; `generate` makes so many tokens."""
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    short: list[float] = []
    long: list[float] = []
    for _ in range(rounds):
        for tokens, found in ((1, short), (1 + NEW, long)):
            began = clock()
            generate(tokens)
            found.append(clock() - began)
    return Seconds(min(short), (min(long) - min(short)) / NEW)


class OurSide:
    """Our engine."""

    def __init__(self, folder: Path, precision: WeightPrecision, batch: int) -> None:
        self._limits = EngineLimits(slots=batch)
        self._prompts = prompts(batch)
        self.decoder = load_engine(folder, precision, self._limits).decoder

    def tokens(self, count: int) -> list[list[int]]:
        """The likeliest continuations of all prompts, by a new engine, which has read nothing."""
        return continued(Engine(self.decoder, self._limits), self._prompts, count)


class TransformersSide:
    """`generate` of transformers, as it comes."""

    def __init__(self, folder: Path, batch: int) -> None:
        from transformers import AutoModelForCausalLM

        self._model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        self._prompts = torch.tensor(prompts(batch))

    def tokens(self, count: int) -> list[list[int]]:
        """The likeliest continuations of all prompts."""
        made = self._model.generate(
            self._prompts, attention_mask=torch.ones_like(self._prompts), max_new_tokens=count, min_new_tokens=count,
            do_sample=False, pad_token_id=0,
        )  # fmt: skip
        return [row[PROMPT:].tolist() for row in made]


def llama_seconds(file: Path, batch: int, rounds: int) -> Seconds:
    """llama.cpp with as many threads as torch; the test is skipped where it cannot be installed."""
    python = environment_with("llama", ["llama-cpp-python==0.3.36"])
    sizes = [PROMPT, NEW, SHAPES["2M"].context, batch, torch.get_num_threads(), rounds]
    command = [python, Path(__file__).with_name("llama_decode.py"), file, *sizes]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    said = json.loads(done.stdout.splitlines()[-1])
    return Seconds(said["prompt"], said["token"])
