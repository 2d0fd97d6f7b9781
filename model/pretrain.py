"""Pretraining: `accelerate launch -m model.pretrain CONFIG.json` (model/base/config.py, PretrainConfig).

Notable: after a kill, the same command goes on from the newest valid checkpoint. Exit codes: model/base/program.py.
"""

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from torch import nn

from model.base.config import PretrainConfig
from model.base.config_loading import load_config
from model.base.errors import BadInput
from model.base.program import run_program
from model.checkpoints.checkpointing import load_model, newest_valid_checkpoint
from model.checkpoints.folders import DIGESTS, digest_of
from model.data.dataset_parts import local_dataset
from model.data.token_cache import open_token_cache
from model.data.token_data import open_training_data, training_bytes_per_token
from model.network.transformer import initialise
from model.objectives.objectives import CAUSAL, OBJECTIVE_SETTING, objective_of
from model.training.training_loop import Run, start_accelerator, train


def pretrain(config_path: Path) -> int:
    """Pretrain a model and return the exit code."""
    config = load_config(config_path, PretrainConfig)
    objective = objective_of(config.objective, config.shape)
    accelerator = start_accelerator(config.loop)
    with accelerator.local_main_process_first():
        cache = open_token_cache(config.tokens, config.cache)
        packing = local_dataset(config.packing, config.cache)
    data, digest = open_training_data(
        cache, packing, config.shape, config.loop.global_batch_size, config.loop.seed, config.objective
    )
    run = Run(
        folder=config.folder,
        shape=config.shape,
        loop=config.loop,
        optimizer=config.optimizer,
        schedule=config.schedule,
        data=data,
        data_digest=digest,
        initialise=_start(config) if config.start else lambda model: initialise(model, config.loop.seed),
        bytes_per_token=training_bytes_per_token(cache) if objective is CAUSAL else None,
        held_out=cache,
        objective=objective,
    )
    return train(accelerator, run)


def _start(config: PretrainConfig) -> Callable[[nn.Module], None]:
    """Return what gives a model the weights of the checkpoint that the config says to start from."""
    folder = Path(str(config.start))
    checkpoint = newest_valid_checkpoint(folder / "checkpoints")
    if checkpoint is None:
        raise BadInput(f"start: {folder} holds no checkpoint to start from")
    if config.start_digest not in (None, found := digest_of(checkpoint.folder / DIGESTS)):
        raise BadInput(f"start: the newest intact checkpoint in {folder} is {found}, not {config.start_digest}")
    progress = checkpoint.progress
    if progress.shape != config.shape or progress.settings[OBJECTIVE_SETTING] != config.objective:
        raise BadInput(f"start: the model in {folder} has another shape or objective: {progress.shape}")
    return partial(load_model, checkpoint)


if __name__ == "__main__":
    sys.exit(run_program(pretrain, sys.argv[1:], "usage: accelerate launch -m model.pretrain CONFIG.json"))
