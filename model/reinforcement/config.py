"""The config of reinforcement learning, as a section of a recipe and as the program's own. Needs no torch."""

import math
from dataclasses import dataclass
from pathlib import Path

from model.base.config import LoopConfig, ScoredTokens
from model.base.field_checks import require, require_finite
from model.base.learning_config import OptimizerConfig, ScheduleConfig


@dataclass(frozen=True, kw_only=True)
class RlSection:
    """Reinforcement learning: GRPO (arXiv:2402.03300, section 4.1) on prompts whose replies a program can check."""

    prompts: str
    """Path of a JSONL file, one prompt a line: {"id": ..., "prompt": "..."}, or an evaluation's `question`, or
    `messages`, of which an assistant's at the end is the `answer`; and beside them whatever the rewards read. In a
    recipe also `synthetic_web`, the conversations that go with the synthetic web."""
    rewards: dict[str, float]
    """Weight of each reward, by name (model/reinforcement/rewards.py, or one of the recipe's own); a reply's reward is
    their weighted sum."""
    loop: LoopConfig
    """Steps, batch, precision, logging, checkpoints. `global_batch_size` counts replies: a multiple of `group_size`."""
    optimizer: OptimizerConfig = OptimizerConfig()
    """Optimizer and its constants."""
    schedule: ScheduleConfig = ScheduleConfig()
    """Learning rate over the run."""
    group_size: int = 8
    """Replies to each prompt; each is compared with the mean of its group."""
    max_new_tokens: int = 64
    """Longest reply, in tokens, its end included. A longer prompt than leaves room for one is left out."""
    kl: float = 0.0
    """Weight of the divergence from the model that training begins with, in the loss; 0 keeps no copy of that model."""
    replay: float = 0.0
    """Tokens of pretraining text that are trained on beside the replies, for each token of these, so that less is
    forgotten. They stand behind the replies, as far as the context goes."""
    scale_by_deviation: bool = True
    """Whether a group's rewards are divided by their standard deviation, as in GRPO; without it prompts on which the
    model is nearly always right or wrong count less (Dr. GRPO, arXiv:2503.20783, section 3.1)."""
    held_out_prompts: int = 0
    """Prompts, drawn from the file with the seed, that are not trained on: their mean reward is measured before the
    first step, at every `loop.evaluate_every` and at the end."""
    reward_seconds: float = 5.0
    """Longest that the rewards of one reply may take; after it the reply has no reward and is not learnt from."""

    def __post_init__(self) -> None:
        require_finite(self)
        require(len(self.rewards) > 0, "rewards must name at least one reward")
        for name, weight in self.rewards.items():
            is_number = isinstance(weight, int | float) and math.isfinite(weight)
            require(is_number, f"rewards.{name} must be a finite number: the reward's weight")
        require(self.group_size >= 2, "group_size must be at least 2: a reply is compared with the others of its group")
        require(
            self.loop.global_batch_size % self.group_size == 0,
            f"loop.global_batch_size ({self.loop.global_batch_size}) must be a multiple of group_size "
            f"({self.group_size})",
        )
        require(self.max_new_tokens >= 1, "max_new_tokens must be at least 1")
        require(self.reward_seconds > 0, "reward_seconds must be positive")
        for name in ("kl", "replay", "held_out_prompts"):
            require(getattr(self, name) >= 0, f"{name} must not be negative")
        require(self.loop.parallelism == "ddp", "loop.parallelism must be ddp: each process draws replies by itself")
        require(self.loop.micro_batch >= 0, "loop.micro_batch = -1 is not for rl: give a number, or 0")
        require(
            not self.replay or self.loop.document_mask,
            "replay needs loop.document_mask: its text stands behind replies",
        )
        require(not self.loop.patience, "loop.patience goes by a held-out loss, and rl has none; set it to 0")
        self.schedule.check_steps(self.loop.steps)


@dataclass(frozen=True, kw_only=True)
class RlConfig(RlSection, ScoredTokens):
    """`python -m model.rl CONFIG`: from a chat model and prompts to one whose replies are rewarded more."""

    folder: Path
    """The new model's folder: config.json, metrics.jsonl, samples.jsonl and checkpoints/ are written here."""
    base: Path
    """The model to start from: a model folder (its newest valid checkpoint) or an export folder."""
    tokenizer: Path
    """The base model's tokenizer.json."""
    own_rewards: tuple[str, ...] = ()
    """Reward functions of the user's own: each `FILE.py:NAME`, a line feed, and the file's source, which is run."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_cache()
        require(not self.replay or self.tokens is not None, "tokens are needed with replay")
