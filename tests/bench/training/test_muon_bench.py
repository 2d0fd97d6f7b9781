"""Muon beside AdamW on equal text, ours and other loops': how many tokens each needs for a loss on held-out documents.

Notable: every AdamW has the rate that was best for it of those tried (docs/log.md); ours has the rates that
Muon's model has for embedding, head and norms too.
"""

from pathlib import Path

import pytest

from model.base.config import LoopConfig
from model.base.learning_config import OptimizerConfig, ScheduleConfig
from tests.bench.side_by_side import show
from tests.bench.training.held_out_training import held_out_loss, rival_held_out_loss
from tests.bench.training.packed_corpus import TWO_MILLION, untied
from tests.bench.training.rival_training import nanogpt_style, transformers_style

ADAMW_STEPS, MUON_STEPS = 399, 279
"""One epoch of the crawl's 6,385 sequences, and 70% of it."""


@pytest.mark.bench
@pytest.mark.timeout(3600)
def test_muon_reaches_adamws_loss_with_70_percent_of_the_tokens(crawl_tokens: tuple[Path, Path]) -> None:
    """Ours start from the same weights; the others draw theirs as they do, and see as many tokens as our AdamW.

    Ours have a head of their own, as models have by default; embedding and head of the others are one.
    """
    pytest.importorskip("transformers")
    tokens, packing = crawl_tokens

    def loss(steps: int, optimizer: OptimizerConfig, schedule: ScheduleConfig) -> float:
        loop = LoopConfig(steps=steps, global_batch_size=16, seed=1, evaluation_documents=0, compile=True)
        return held_out_loss(tokens, packing, untied(TWO_MILLION).shape, loop, optimizer, schedule)

    linear, cosine = ScheduleConfig(warmup_steps=10), ScheduleConfig("cosine", 10, final_fraction=0.1)
    adamw = OptimizerConfig(name="adamw", lr=4e-3, weight_decay=0.1)
    all_tokens = {"AdamW": loss(ADAMW_STEPS, adamw, linear)}
    for name, rival in (("nanoGPT-style", nanogpt_style), ("transformers", transformers_style)):
        model = rival(TWO_MILLION.shape)
        all_tokens[name] = rival_held_out_loss(tokens, model, TWO_MILLION, ADAMW_STEPS, 4e-3, cosine)
    muon = loss(MUON_STEPS, OptimizerConfig(), linear)
    show("Held-out loss, nats a token", {**all_tokens, "Muon, 70% of the tokens": muon})
    assert muon <= min(all_tokens.values())
