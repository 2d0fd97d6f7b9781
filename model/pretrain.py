"""Pretraining: `accelerate launch -m model.pretrain CONFIG.json` (model/base/config.py, PretrainConfig).

Notable: after a kill, the same command goes on from the newest valid checkpoint. Exit codes: model/base/program.py.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from model.base.config import PretrainConfig
from model.base.config_loading import load_config
from model.base.errors import BadInput
from model.base.program import run_program
from model.base.sizes import differing_sizes
from model.data.dataset_parts import local_dataset
from model.data.token_cache import open_token_cache
from model.data.token_data import open_training_data, training_bytes_per_token
from model.inference.loading import grown_weights, load_trained
from model.network.transformer import initialise
from model.objectives.objectives import CAUSAL, objective_of
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
        initialise=_weights_of_init(config) if config.init else lambda model: initialise(model, config.loop.seed),
        bytes_per_token=training_bytes_per_token(cache) if objective is CAUSAL else None,
        held_out=cache,
        objective=objective,
    )
    return train(accelerator, run)


def _weights_of_init(config: PretrainConfig) -> Callable[[nn.Module], object]:
    """Return what gives a model the weights that the config says to begin with; raises BadInput if they do not fit."""
    init = load_trained(Path(str(config.init)), torch.float32)
    if wrong := differing_sizes(config.shape, init.shape):
        raise BadInput(f"init: the model in {config.init} has other sizes: {wrong}")
    weights = grown_weights(init, config.shape.vocab_size)
    return lambda model: model.load_state_dict(weights)


if __name__ == "__main__":
    sys.exit(run_program(pretrain, sys.argv[1:], "usage: accelerate launch -m model.pretrain CONFIG.json"))
