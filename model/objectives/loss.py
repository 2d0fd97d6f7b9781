"""What a training step makes smaller: the nats of what is predicted, or a loss of its own over the same model.

Notable: a loss sees one pass and returns sums; the loop divides them by what the whole step counts
(`Batch.targets_in_step`), over passes and processes alike.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True)
class Loss:
    """A loss, and what it measures beside itself."""

    sums: Callable[..., Tensor]
    """Takes the model, which is to be called once, and a pass: inputs, targets, segments or None, and the batch's
    columns. Returns (1 + metrics) sums over the pass: of the loss, then of each metric, without gradient."""
    metrics: tuple[str, ...] = ()
    """What the metrics are called in the log."""
    texts_of_row: int = 1
    """Texts that the model is given at once for each row of a batch."""
    whole_step: Callable[..., Tensor] | None = None
    """Takes what `sums` takes, without gradient, before the first pass of a step, and returns a sum over the pass; its
    mean over the whole step is the last argument of `sums`, whatever the cut into passes."""


def _nats(model: nn.Module, inputs: Tensor, targets: Tensor, segments: Tensor | None) -> Tensor:
    nats: Tensor = model(inputs, targets, segments)
    return nats.reshape(1)


LIKELIHOOD = Loss(_nats)
"""The nats of what is predicted."""
