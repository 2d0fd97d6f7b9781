"""What a checkpoint remembers besides weights and optimizer state: where the run stands, and what it was."""

from dataclasses import dataclass
from typing import Any

from model.base.sizes import ModelShape


@dataclass(frozen=True)
class LossSpikeState:
    """What is needed to check a step for a loss spike, and where the data stands (model/training/loss_spikes.py)."""

    losses: tuple[float, ...] = ()
    """Losses of the last accepted steps, nats per token."""
    norms: tuple[float, ...] = ()
    """Their gradient norms before clipping."""
    in_a_row: int = 0
    """Bad steps since the last accepted one."""
    batches_passed: int = 0
    """Batches that rewinds skipped: step s trains on batch s + batches_passed."""


@dataclass(frozen=True)
class EarlyStoppingState:
    """What has been counted so far (model/training/early_stopping.py)."""

    seconds: float = 0.0
    """Seconds of training, over all resumes."""
    best_loss: float | None = None
    """Lowest held-out loss so far, in nats per token."""
    without_best: int = 0
    """Evaluations since then."""


@dataclass(frozen=True)
class Progress:
    """Where a run stands, and what it was."""

    step: int
    """Finished optimizer steps."""
    tokens: int
    """Input tokens seen, over all processes, without padding."""
    shape: ModelShape
    """Sizes of the model."""
    settings: dict[str, Any]
    """The config fields that decide the result, by path, and the digest of the data."""
    loss_spikes: LossSpikeState = LossSpikeState()
    early_stopping: EarlyStoppingState = EarlyStoppingState()
