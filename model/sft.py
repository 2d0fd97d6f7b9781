"""Supervised finetuning: `accelerate launch -m model.sft CONFIG.json` (model/base/config.py, SftConfig).

Notable: only what the assistant writes is in the loss, averaged over those tokens, and the text that is replayed.
Checkpoints, resume, signals and exit codes are those of pretraining, since the loop is the same.
"""

import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from torch import nn

from model.base.config import SftConfig
from model.base.config_loading import load_config
from model.base.program import run_program
from model.data.chat_data import open_chat_data
from model.data.chat_format import load_chat_format
from model.data.token_cache import named_token_cache
from model.inference.loading import grown_weights, load_trained
from model.network.low_rank import initialise_adapters
from model.objectives.objectives import CAUSAL, LORA_RANK, LORA_SCALE, with_adapters
from model.training.held_out_examples import HeldOutExamples
from model.training.reply_samples import reply_samples
from model.training.training_loop import Run, start_accelerator, train


def finetune(config_path: Path) -> int:
    """Finetune a model and return the exit code."""
    config = load_config(config_path, SftConfig)
    accelerator = start_accelerator(config.loop)
    chat = load_chat_format(config.tokenizer)
    base = load_trained(Path(config.base), torch.float32)
    shape = base.shape
    if config.base_digest:
        shape = replace(shape, vocab_size=max(shape.vocab_size, chat.vocab_size))
    chat.check_vocabulary(shape.vocab_size)
    weights, context = grown_weights(base, shape.vocab_size), config.context or shape.context
    cache = named_token_cache(config.tokens, config.cache)
    data = open_chat_data(config, chat, context, cache)
    if accelerator.is_main_process and (data.facts["cut"] or data.facts["dropped"]):
        print(
            f"of {data.facts['conversations']:,} conversations {data.facts['cut']:,} are longer than the context of "
            f"{context:,} tokens and end after the last reply that fits, and {data.facts['dropped']:,} are "
            "left out, since no reply does or there is none",
            flush=True,
        )
    lora = config.lora
    settings = {LORA_RANK: lora.rank, LORA_SCALE: lora.alpha / lora.rank} if lora else {}

    def initialise(model: nn.Module) -> None:
        model.load_state_dict(weights, strict=lora is None)
        initialise_adapters(model, config.loop.seed)

    run = Run(
        folder=config.folder,
        shape=shape,
        loop=config.loop,
        optimizer=config.optimizer,
        schedule=config.schedule,
        data=data.sequences,
        data_digest=data.digest,
        initialise=initialise,
        held_out=cache,
        objective=with_adapters(CAUSAL, settings),
        measure=partial(reply_samples, chat, data.exchanges),
        data_facts=data.facts,
        settings=settings,
        examples=HeldOutExamples(data.held_out, data.held_out.sequences) if data.held_out else None,
    )
    return train(accelerator, run)


if __name__ == "__main__":
    sys.exit(run_program(finetune, sys.argv[1:], "usage: accelerate launch -m model.sft CONFIG.json"))
