"""Training from scratch on a store's packed tokens, to the loss on its held-out documents."""

import dataclasses
import tempfile
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from model.base.config import LoopConfig, PretrainSection
from model.base.learning_config import OptimizerConfig, ScheduleConfig
from model.base.sizes import ModelShape
from model.data.packed_sequences import IGNORED
from model.data.token_cache import TokenCache, open_token_cache
from model.data.token_data import open_training_data
from model.network.transformer import initialise
from model.objectives.held_out import HeldOut, held_out_documents, score_documents
from model.training.schedule import learning_rate_factor
from model.training.training_loop import Run, start_accelerator
from tests.bench.training.our_training import trained
from tests.bench.training.packed_corpus import Sizes
from tests.bench.training.rival_training import Rival, rival_steps

_SCORED_TOGETHER = 16
"""Windows of held-out text in one forward pass."""


def held_out_loss(
    tokens: Path,
    packing: Path,
    shape: ModelShape,
    loop: LoopConfig,
    optimizer: OptimizerConfig,
    schedule: ScheduleConfig,
) -> float:
    """Nats a token on all held-out documents, after a whole run of `loop.steps` steps."""
    section = PretrainSection(shape=shape, loop=loop, optimizer=optimizer, schedule=schedule)
    with tempfile.TemporaryDirectory(prefix="held-out-") as name:
        cache = open_token_cache(tokens, Path(name) / "cache")
        run = dataclasses.replace(_run_on(cache, packing, section, Path(name) / "model"), held_out=cache)
        return float(trained(start_accelerator(loop), run, "eval")[-1]["loss"])


def bits_by_group(
    tokens: Path, packing: Path, section: PretrainSection, groups: Mapping[str, TokenCache]
) -> dict[str, float]:
    """Bits per byte on each group of other documents, after a whole run of the section."""
    begun = False

    def score(model: nn.Module, *_: int) -> Iterator[tuple[str, dict[str, float]]]:
        nonlocal begun
        if begun:  # not before the first step
            for name, cache in groups.items():
                documents = np.arange(len(cache.byte_counts))
                held_out = HeldOut(cache, documents, section.shape.context, _SCORED_TOGETHER, torch.device("cpu"))
                yield "eval", {name: score_documents(model, held_out).bits_per_byte}
        begun = True

    with tempfile.TemporaryDirectory(prefix="held-out-") as name:
        cache = open_token_cache(tokens, Path(name) / "cache")
        run = dataclasses.replace(_run_on(cache, packing, section, Path(name) / "model"), measure=score)
        event = trained(start_accelerator(section.loop), run, "eval")[-1]
        return {name: float(event[name]) for name in groups}


def _run_on(cache: TokenCache, packing: Path, section: PretrainSection, folder: Path) -> Run:
    loop = section.loop
    data, digest = open_training_data(cache, packing, section.shape, loop.global_batch_size, loop.seed)
    return Run(
        folder=folder,
        shape=section.shape,
        loop=loop,
        optimizer=section.optimizer,
        schedule=section.schedule,
        data=data,
        data_digest=digest,
        initialise=lambda model: initialise(model, loop.seed),
    )


def rival_held_out_loss(
    tokens: Path, rival: Rival, sizes: Sizes, steps: int, lr: float, schedule: ScheduleConfig
) -> float:
    """Nats a token on all held-out documents, after training a rival on random stretches of the others."""
    with tempfile.TemporaryDirectory(prefix="held-out-") as folder:
        cache = open_token_cache(tokens, Path(folder))
        trained = np.concatenate(
            [
                cache.tokens[cache.offsets[document] : cache.offsets[document + 1]]
                for document in np.flatnonzero(~cache.validation)
            ]
        )
        for _ in islice(
            rival_steps(rival, trained, sizes, lambda step: lr * learning_rate_factor(schedule, step, steps)), steps
        ):
            pass
        rival.model.eval()
        return summed_loss_on_held_out(_SummedLoss(rival), cache, sizes)


def summed_loss_on_held_out(loss: nn.Module, cache: TokenCache, sizes: Sizes) -> float:
    """Nats a token on all held-out documents; `loss` sums them over the targets that are not ignored."""
    documents = held_out_documents(cache, 0)
    held_out = HeldOut(cache, documents, sizes.shape.context, _SCORED_TOGETHER, torch.device("cpu"))
    return score_documents(loss, held_out).loss


class _SummedLoss(nn.Module):
    """A rival as `score_documents` calls a model: the sum over targets that are not ignored."""

    def __init__(self, rival: Rival) -> None:
        super().__init__()
        self._rival = rival

    def forward(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """(B, T) ids and (B, T) targets to nats."""
        return self._rival.loss(inputs, targets) * (targets != IGNORED).sum()
