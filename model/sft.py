"""Supervised finetuning: `accelerate launch -m model.sft CONFIG.json` (model/base/config.py, SftConfig).

Notable: only what the assistant writes is in the loss, averaged over those tokens. Checkpoints, resume, signals and
exit codes are those of pretraining, since the loop is the same.
"""

import sys
from pathlib import Path

import torch

from model.base.config import SftConfig
from model.base.config_loading import load_config
from model.base.program import run_program
from model.data.chat_data import open_chat_data
from model.data.chat_format import load_chat_format
from model.inference.loading import load_trained
from model.training.training_loop import Run, start_accelerator, train


def finetune(config_path: Path) -> int:
    """Finetune a model and return the exit code."""
    config = load_config(config_path, SftConfig)
    accelerator = start_accelerator(config.loop)
    chat = load_chat_format(config.tokenizer)
    base = load_trained(config.base, torch.float32)
    chat.check_vocabulary(base.shape.vocab_size)
    data = open_chat_data(
        Path(config.conversations), chat, base.shape.context, config.loop.global_batch_size, config.loop.seed
    )
    run = Run(
        folder=config.folder,
        shape=base.shape,
        loop=config.loop,
        optimizer=config.optimizer,
        schedule=config.schedule,
        data=data.sequences,
        data_digest=data.digest,
        initialise=lambda model: model.load_state_dict(base.state_dict()),
        data_facts=data.facts,
    )
    return train(accelerator, run)


if __name__ == "__main__":
    sys.exit(run_program(finetune, sys.argv[1:], "usage: accelerate launch -m model.sft CONFIG.json"))
