"""nanochat as a loop to be measured: its own model and optimizer, out of its user's checkout, on the batches of ours.

Notable: it does what its `scripts/base_train.py` does in one process, with rates that suited these batches best; its
rule for weight decay, made for other sizes, is left out. Attention is causal across documents, as there.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from model.base.device import activation_dtype
from model.data.packed_sequences import IGNORED, Batches
from model.data.token_cache import open_token_cache
from model.data.token_data import open_training_data
from tests.bench.side_by_side import median_rate
from tests.bench.training.held_out_training import summed_loss_on_held_out
from tests.bench.training.packed_corpus import Sizes, open_packed_corpus

_WARMUP, _WARMDOWN, _FINAL = 10, 0.65, 0.05
_RATE = 1.4
"""Factor of nanochat's default rates, the best of those tried at 4,096 positions a step."""


def nanochat_model(checkout: Path, sizes: Sizes) -> Any:
    """nanochat's model of our depth, width and heads; it has embeddings of values besides, so more parameters."""
    # It reads its precision when it is imported: that of our activations.
    os.environ["NANOCHAT_DTYPE"] = str(activation_dtype("bfloat16", torch.device("cpu"))).removeprefix("torch.")
    if str(checkout) not in sys.path:
        sys.path.append(str(checkout))
    from nanochat.gpt import GPT, GPTConfig  # type: ignore[import-not-found]

    shape = sizes.shape
    config = GPTConfig(
        sequence_len=shape.context,
        vocab_size=shape.vocab_size,
        n_layer=shape.layers,
        n_head=shape.heads,
        n_kv_head=shape.kv_heads,
        n_embd=shape.hidden_size,
        window_pattern="L",
    )
    return GPT(config)


def nanochat_held_out_loss(checkout: Path, tokens: Path, packing: Path, sizes: Sizes, steps: int, seed: int) -> float:
    """Nats a token on all held-out documents, after `steps` steps."""
    model = _drawn(checkout, sizes, seed)
    with tempfile.TemporaryDirectory(prefix="held-out-") as folder, torch.compiler.set_stance("force_eager"):
        cache = open_token_cache(tokens, Path(folder))
        data, _ = open_training_data(cache, packing, sizes.shape, sizes.sequences, seed)
        for _ in islice(_training(model, data, steps), steps):
            pass
        model.eval()
        return summed_loss_on_held_out(_SummedLoss(model), cache, sizes)


def nanochat_speed(checkout: Path, corpus: Path, warmup: int, steps: int, sizes: Sizes) -> Callable[[], float]:
    """A worker that goes on training nanochat's model, eager, and returns the tokens/s of the median of its steps."""
    data, _, _ = open_packed_corpus(corpus, sizes)
    trained = _training(_drawn(checkout, sizes, seed=1), data, 1000)

    def work() -> float:
        with torch.compiler.set_stance("force_eager"):
            for _ in islice(trained, warmup):
                pass
            times = [time.perf_counter()]
            times += [time.perf_counter() for _ in islice(trained, steps)]
        return median_rate(times, sizes.tokens_per_step)

    return work


def _drawn(checkout: Path, sizes: Sizes, seed: int) -> Any:
    torch.manual_seed(seed)
    model = nanochat_model(checkout, sizes)
    model.init_weights()
    return model


def _training(model: Any, data: Batches, steps: int) -> Iterator[None]:
    """Makes a step of a run of `steps` each time it is asked."""
    rates = {"unembedding_lr": 0.008, "embedding_lr": 0.3, "matrix_lr": 0.02, "scalar_lr": 0.5}
    optimizer = model.setup_optimizer(**{name: _RATE * rate for name, rate in rates.items()})
    loss = _SummedLoss(model)
    for step in range(steps):
        batch = data.batch(step, 0, 1)
        (loss(torch.from_numpy(batch.inputs), torch.from_numpy(batch.targets)) / batch.targets_in_step).backward()
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"] * _rate_factor(step, steps)
            if group["kind"] == "muon":
                group["momentum"] = _momentum(step, steps)
        optimizer.step()
        model.zero_grad(set_to_none=True)
        yield


def _rate_factor(step: int, steps: int) -> float:
    if step < _WARMUP:
        return (step + 1) / _WARMUP
    left = (steps - step) / round(_WARMDOWN * steps)
    return 1.0 if left >= 1 else left + (1 - left) * _FINAL


def _momentum(step: int, steps: int) -> float:
    begins = steps - round(_WARMDOWN * steps)
    if step < 400:
        return 0.85 + 0.12 * step / 400
    return 0.97 if step < begins else 0.97 - 0.07 * (step - begins) / (steps - begins)


class _SummedLoss(nn.Module):
    """nanochat as our code calls a model: the summed loss of targets that are not ignored."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self._model = model

    def forward(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """(B, T) ids and (B, T) targets to nats."""
        loss: Tensor = self._model(inputs, targets.masked_fill(targets == IGNORED, -1), loss_reduction="sum")
        return loss
