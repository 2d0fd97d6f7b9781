"""Reinforcement learning: `accelerate launch -m model.rl CONFIG.json` (model/reinforcement/config.py, RlConfig).

Notable: GRPO without a value model. Each step draws groups of replies with our own engine, rewards them, and makes the
better ones of each group likelier. Checkpoints, resume, signals and exit codes are those of pretraining, since the loop
is the same.
"""

import dataclasses
import sys
from contextlib import closing
from pathlib import Path

import xxhash

from model.base.config_loading import config_as_json, load_config
from model.base.device import activation_dtype
from model.base.program import run_program
from model.data.chat_format import load_chat_format
from model.data.token_cache import named_token_cache
from model.inference.loading import load_trained
from model.network.transformer import Transformer
from model.objectives.objectives import CAUSAL
from model.reinforcement.config import RlConfig
from model.reinforcement.grpo_loss import grpo_loss
from model.reinforcement.prompts import open_prompts
from model.reinforcement.replay import ReplayedText
from model.reinforcement.reward_process import RewardProcess
from model.reinforcement.rollouts import Rollouts
from model.training.training_loop import Run, start_accelerator, train

_DECIDING = ("rewards", "group_size", "max_new_tokens", "kl", "replay", "scale_by_deviation", "held_out_prompts")


def reinforce(config_path: Path) -> int:
    """Train a model by the rewards of its own replies and return the exit code."""
    config = load_config(config_path, RlConfig)
    accelerator = start_accelerator(config.loop)
    chat = load_chat_format(config.tokenizer)
    dtype = activation_dtype(config.loop.precision, accelerator.device)
    base = load_trained(config.base, dtype)
    chat.check_vocabulary(base.shape.vocab_size)
    longest = base.shape.context - config.max_new_tokens
    prompts = open_prompts(Path(config.prompts), chat, longest, config.held_out_prompts, config.loop.seed)
    policy, cache = Transformer(base.shape, dtype), named_token_cache(config.tokens, config.cache)
    reference = base.to(accelerator.device) if config.kl else None
    with closing(RewardProcess(list(config.rewards), config.own_rewards, config.reward_seconds)) as rewards:
        text = ReplayedText(cache, config.loop.seed) if config.replay and cache else None
        rollouts = Rollouts(config, prompts, chat, policy, rewards, reference, text)
        run = Run(
            folder=config.folder,
            shape=base.shape,
            loop=config.loop,
            optimizer=config.optimizer,
            schedule=config.schedule,
            data=rollouts,
            data_digest=xxhash.xxh3_128_hexdigest("\n".join((prompts.digest, *config.own_rewards))),
            data_facts=prompts.facts,
            held_out=cache,
            initialise=lambda model: model.load_state_dict(base.state_dict()),
            objective=dataclasses.replace(CAUSAL, build=lambda shape, dtype: policy),
            loss=grpo_loss(config.kl, has_replay=text is not None),
            settings={name: value for name, value in config_as_json(config).items() if name in _DECIDING},
            on_policy=True,
            measure=lambda model, rank, world_size: rollouts.evaluate(rank, world_size),
        )
        return train(accelerator, run)


if __name__ == "__main__":
    sys.exit(run_program(reinforce, sys.argv[1:], "usage: accelerate launch -m model.rl CONFIG.json"))
