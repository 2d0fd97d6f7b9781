"""The configs of preference finetuning (model/preference.py). Needs no torch."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from model.base.config import LoopConfig, ScoredTokens
from model.base.field_checks import require, require_finite
from model.base.learning_config import OptimizerConfig, ScheduleConfig


@dataclass(frozen=True, kw_only=True)
class PreferenceSection:
    """Preference finetuning on pairs of replies, one better than the other, or on replies that are good or bad."""

    pairs: str
    """Path of a JSONL file, one pair a line: {"prompt": ..., "chosen": ..., "rejected": ...}, each a text or a list of
    messages {"role": ..., "content": ...}; without a prompt, the messages before the last are the prompt. With method
    kto also one reply a line: {"prompt": ..., "completion": ..., "label": ...}, true for a good one, false if bad."""
    method: Literal["dpo", "kto"] = "dpo"
    """dpo (arXiv:2305.18290) learns from pairs; kto (arXiv:2402.01306) from single replies, such as thumbs up and down,
    of which good and bad ones weigh the same in all, whatever their numbers."""
    loop: LoopConfig
    """Steps, batch in pairs, precision, logging, checkpoints."""
    optimizer: OptimizerConfig = OptimizerConfig(lr_scale=0.01)
    """Optimizer and its constants; by default far gentler than in finetuning, as is usual for DPO."""
    schedule: ScheduleConfig = ScheduleConfig()
    """Learning rate over the run."""
    beta: float = 0.1
    """How much a nat of log-probability, compared with the reference, counts as reward: the larger, the closer the
    model stays to the reference."""
    length_normalised: bool = False
    """Whether log-probabilities are divided by the reply's tokens, so that longer replies gain nothing by their length
    (arXiv:2411.15124, section 5.1.2); rewards are then smaller, and `beta` is usually 5."""
    held_out_fraction: float = 0.05
    """Share of the prompts whose pairs are not trained on but scored with every evaluation."""

    def __post_init__(self) -> None:
        self.schedule.check_steps(self.loop.steps)
        require_finite(self)
        require(self.beta > 0, "beta must be positive")
        require(self.method == "dpo" or not self.length_normalised, "length_normalised goes with method dpo")
        require(0 <= self.held_out_fraction < 1, "held_out_fraction must be at least 0 and below 1")


@dataclass(frozen=True, kw_only=True)
class PreferenceConfig(PreferenceSection, ScoredTokens):
    """`python -m model.preference CONFIG`: from a chat model and pairs of replies to one that prefers the better."""

    folder: Path
    """The new model's folder: config.json, metrics.jsonl, checkpoints/ and reference.parquet are written here."""
    base: Path
    """The model to start from, which is the reference too: a model folder or an export folder."""
    tokenizer: Path
    """The base model's tokenizer.json."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_cache()
