"""How a model learns: the optimizer with its constants, adapters, the course of the learning rate, and how much of each
set of conversations."""

from dataclasses import dataclass
from typing import Literal

from model.base.field_checks import require, require_finite

OptimizerName = Literal["muon", "adamw"]
"""How weights are updated (model/training/optimizer.py builds each, flows/planning/memory.py has what it keeps)."""


@dataclass(frozen=True)
class OptimizerConfig:
    """Which optimizer, and its constants (model/training/optimizer.py)."""

    name: OptimizerName = "muon"
    """`muon`: Muon for the blocks' matrices, AdamW for the rest. `adamw`: AdamW for everything."""
    lr_scale: float = 1.0
    """Factor of all the peak learning rates below: one number for a gentler run, such as finetuning."""
    muon_lr: float = 0.03
    """Muon's, for the blocks' matrices: the size of its update, relative to a matrix of orthonormal rows."""
    muon_unit: Literal["matrix", "head"] = "matrix"
    """What Muon makes orthonormal by itself: each matrix; or each head of queries and keys, and about as many hidden
    units of the MLP, which takes a third of the time. Losses are as good at 2M and 12M parameters (docs/log.md)."""
    lr: float = 4e-3
    """AdamW's, for the blocks' matrices with `adamw`: about the step of each weight."""
    norm_lr: float = 0.03
    """AdamW's, for the scales of the norms, which begin at 1."""
    embedding_lr: float = 0.4
    """AdamW's, for an embedding that is not the head too."""
    head_lr: float = 0.01
    """AdamW's, for the output head, tied or not."""
    beta1: float = 0.9
    """AdamW's decay of the gradient's mean, per step, for matrices and norms."""
    beta2: float = 0.95
    """AdamW's decay of the squared gradient's mean, per step, for matrices and norms."""
    table_beta1: float = 0.8
    """`beta1` of embedding and head."""
    table_beta2: float = 0.995
    """`beta2` of embedding and head: slow, since most tokens are in few batches."""
    epsilon: float = 1e-10
    """Added to the root of AdamW's mean squared gradient."""
    momentum: float = 0.95
    """Muon's Nesterov momentum, per step."""
    weight_decay: float = 0.5
    """Decoupled decay of the blocks' matrices per step, as a fraction of their learning rate; with Muon it is cautious
    (arXiv:2510.12402): it takes from the weights alone that the update makes smaller too."""
    table_decay: float = 0.0
    """Share of themselves that embedding and head lose in a step at the peak learning rate, whatever that is: for
    corpora that are read many times, where rare tokens are learnt by heart."""
    gradient_clip: float = 1.0
    """Largest norm of the whole gradient; 0 does not clip."""

    def __post_init__(self) -> None:
        require_finite(self)
        for name in ("lr_scale", "muon_lr", "lr", "norm_lr", "embedding_lr", "head_lr", "epsilon"):
            require(getattr(self, name) > 0, f"{name} must be positive")
        for name in ("beta1", "beta2", "table_beta1", "table_beta2", "momentum"):
            require(0 <= getattr(self, name) < 1, f"{name} must be at least 0 and below 1")
        for name in ("weight_decay", "gradient_clip"):
            require(getattr(self, name) >= 0, f"{name} must not be negative")
        require(0 <= self.table_decay < 1, "table_decay must be at least 0 and below 1")

    @property
    def matrix_lr(self) -> float:
        """Peak learning rate of the blocks' matrices."""
        return self.lr_scale * (self.muon_lr if self.name == "muon" else self.lr)


@dataclass(frozen=True)
class LoraConfig:
    """Low-rank adapters in place of the weights themselves (model/network/low_rank.py), on every linear layer of the
    blocks; the export has them merged."""

    rank: int = 16
    """Rows of an adapter's first matrix: how much it can learn."""
    alpha: float = 32.0
    """The adapters' product counts alpha / rank times."""

    def __post_init__(self) -> None:
        require_finite(self)
        require(self.rank >= 1, "rank must be at least 1")
        require(self.alpha > 0, "alpha must be positive")


@dataclass(frozen=True)
class ScheduleConfig:
    """How the learning rate moves over the run (model/training/schedule.py)."""

    name: Literal["warmup_stable_decay", "cosine", "linear"] = "warmup_stable_decay"
    """Constant with a linear decay at the end; or a half cosine; or a straight line from the peak to the end."""
    warmup_steps: int = 0
    """Steps of linear warmup from 0."""
    decay_fraction: float = 0.4
    """Share of all steps, at the end, over which warmup_stable_decay falls; the others fall over all steps."""
    final_fraction: float = 0.0
    """Learning rate at the last step, as a fraction of the peak."""

    def __post_init__(self) -> None:
        require(self.warmup_steps >= 0, "warmup_steps must not be negative")
        for name in ("decay_fraction", "final_fraction"):
            require(0 <= getattr(self, name) <= 1, f"{name} must be between 0 and 1")

    def check_steps(self, steps: int) -> None:
        """Raise ValueError unless warmup and decay fit into a run of `steps`, so that the rate reaches its peak."""
        require(
            self.warmup_steps < steps,
            f"schedule.warmup_steps must be less than loop.steps: after {self.warmup_steps} steps of warmup a run of "
            f"{steps} would end before its peak learning rate",
        )
        decay = self.decay_fraction * steps if self.name == "warmup_stable_decay" else 0.0
        require(
            self.warmup_steps + decay < steps + 1,  # as many steps as there are, after rounding
            f"schedule.warmup_steps ({self.warmup_steps}) and schedule.decay_fraction ({self.decay_fraction:g}, "
            f"{decay:g} steps) must fit into loop.steps ({steps}): the decay would begin before the warmup ends; lower "
            "one of them",
        )


@dataclass(frozen=True, kw_only=True)
class ConversationShare:
    """How much of a set of conversations is trained on; `weight` for every set of a mixture, or for none."""

    weight: float | None = None
    """Its part of the tokens learnt, relative to the other sets' weights; as many as there can be without repeating any
    set."""
    epochs: float | None = None
    """How often its conversations are in a pass over the mixture; 0.5 takes half of them. Without weights it is 1
    unless given."""

    def __post_init__(self) -> None:
        require_finite(self)
        require(self.weight is None or self.epochs is None, "a set has a weight or epochs, not both")
        require(self.weight is None or self.weight > 0, "weight must be positive")
        require(self.epochs is None or 0 <= self.epochs <= 1000, "epochs must be at least 0 and at most 1000")


@dataclass(frozen=True, kw_only=True)
class ConversationSet:
    """A further set of conversations."""

    conversations: str
    """Path of a JSONL or Parquet file, as in `sft.conversations`."""
    share: ConversationShare = ConversationShare()
    """How much of them is trained on."""
