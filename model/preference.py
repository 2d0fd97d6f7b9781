"""Preference finetuning: `accelerate launch -m model.preference CONFIG.json` (PreferenceConfig in model/preferences).

Notable: the model to start from is the reference; what it says of the replies is computed once, before training.
Checkpoints, resume, signals and exit codes are those of pretraining, since the loop is the same.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from model.base.config_loading import load_config
from model.base.device import activation_dtype
from model.base.program import run_program
from model.data.chat_format import load_chat_format
from model.data.token_cache import named_token_cache
from model.inference.loading import load_trained
from model.preferences.config import PreferenceConfig
from model.preferences.dpo_loss import dpo_loss
from model.preferences.kto_loss import kto_loss
from model.preferences.pairs import PairBatches, PreferenceData, open_pairs
from model.preferences.rated_replies import balanced_weights, open_rated_replies
from model.preferences.reference import digest_of_weights, reference_log_probabilities
from model.training.held_out_examples import HeldOutExamples
from model.training.training_loop import Run, start_accelerator, train


def prefer(config_path: Path) -> int:
    """Finetune a model on preferences and return the exit code."""
    config = load_config(config_path, PreferenceConfig)
    accelerator = start_accelerator(config.loop)
    chat = load_chat_format(config.tokenizer)
    base = load_trained(config.base, activation_dtype(config.loop.precision, accelerator.device))
    context, loop = base.shape.context, config.loop
    chat.check_vocabulary(base.shape.vocab_size)
    is_kto = config.method == "kto"
    read = open_rated_replies if is_kto else open_pairs
    data: PreferenceData[Any] = read(Path(config.pairs), chat, context, config.held_out_fraction)
    digest = digest_of_weights(base, data.digest, str(base.dtype))
    rows = loop.micro_batch if loop.micro_batch > 0 else loop.global_batch_size
    pairs = [*data.trained, *data.held_out]
    reference = reference_log_probabilities(accelerator, base, pairs, rows, config.folder, digest)
    base.cpu()

    def batches(examples: list[Any], reference: npt.NDArray[np.float32], per_step: int, seed: int) -> PairBatches:
        columns = (reference, balanced_weights(examples)) if is_kto else (reference,)
        return PairBatches(examples, columns, context, per_step, seed)

    count = len(data.trained)
    held_out = batches(data.held_out, reference[count:], len(data.held_out), 0)
    run = Run(
        folder=config.folder,
        shape=base.shape,
        loop=loop,
        optimizer=config.optimizer,
        schedule=config.schedule,
        data=batches(data.trained, reference[:count], loop.global_batch_size, loop.seed),
        data_digest=digest,
        initialise=lambda model: model.load_state_dict(base.state_dict()),
        held_out=named_token_cache(config.tokens, config.cache),
        data_facts=data.facts,
        loss=kto_loss(config.beta) if is_kto else dpo_loss(config.beta, config.length_normalised),
        settings={name: getattr(config, name) for name in ("method", "beta", "length_normalised")},
        examples=HeldOutExamples(held_out, len(data.held_out)) if data.held_out else None,
    )
    return train(accelerator, run)


if __name__ == "__main__":
    sys.exit(run_program(prefer, sys.argv[1:], "usage: accelerate launch -m model.preference CONFIG.json"))
