"""Which steps are skipped because they would harm the model, and when skipping no longer helps.

Notable:
- A step is bad if its loss or gradient norm is not finite, or lies more than `spike_sigma` deviations above the last
  128 accepted steps (OLMo-core's SkipStepOptimizer, https://github.com/allenai/OLMo-core, looks at the same two).
- All processes judge the same reduced numbers, which the loop fetches anyway, so they agree without asking each other.
- Bad steps in a row mean that the weights themselves were harmed, by a batch before them. The loop then goes back to
  the newest checkpoint and past every batch seen since (PaLM, arXiv:2204.02311, section 5.1).
- What is remembered is part of the checkpoint, so a resumed run judges as an uninterrupted one does.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

_WINDOW = 128
"""Accepted steps that a step is compared with."""
_FEWEST = 64
"""Accepted steps before which nothing is called a spike."""
_SMALLEST_DEVIATION = 1e-3
"""Least deviation, as a share of the mean, so that losses that hardly move do not make a spike of every ripple."""
IN_A_ROW = 5
"""Bad steps in a row after which skipping has not helped."""
REWINDS = 3
"""Times that a run goes back to one checkpoint before it is given up."""


@dataclass(frozen=True)
class LossSpikeState:
    """What judging a step needs to know of the steps before it, and where the data stands."""

    losses: tuple[float, ...] = ()
    """Losses of the last accepted steps, nats per token."""
    norms: tuple[float, ...] = ()
    """Their gradient norms before clipping."""
    in_a_row: int = 0
    """Bad steps since the last accepted one."""
    batches_passed: int = 0
    """Batches that rewinds went past: step s trains on batch s + batches_passed."""


class LossSpikes:
    """Judges each step, in order."""

    def __init__(self, sigma: float, memory: LossSpikeState) -> None:
        """
        Args:
            sigma: standard deviations above the mean that are a spike; 0 judges only whether numbers are finite.
            memory: of the checkpoint that training goes on from.
        """
        self._sigma = sigma
        self.memory = memory
        """The memory as of the last step judged."""
        self._rewinds = 0
        self._rewound_to = -1

    def judge(self, loss: float, norm: float) -> str | None:
        """Why the step must be skipped; None accepts it and remembers its loss and gradient norm."""
        memory = self.memory
        fault = self._fault("loss", loss, memory.losses) or self._fault("gradient norm", norm, memory.norms)
        if fault is None:
            losses, norms = ((*kept, new)[-_WINDOW:] for kept, new in ((memory.losses, loss), (memory.norms, norm)))
            self.memory = LossSpikeState(losses, norms, 0, memory.batches_passed)
        else:
            self.memory = dataclasses.replace(memory, in_a_row=memory.in_a_row + 1)
        return fault

    @property
    def skipping_does_not_help(self) -> bool:
        """Whether the last steps were all bad."""
        return self.memory.in_a_row >= IN_A_ROW

    def may_rewind_to(self, step: int) -> bool:
        """Whether a checkpoint was not gone back to too often; counts this time."""
        self._rewinds = self._rewinds + 1 if step == self._rewound_to else 1
        self._rewound_to = step
        return self._rewinds <= REWINDS

    def rewind(self, memory: LossSpikeState, to_step: int, from_step: int) -> None:
        """Takes the memory of the checkpoint of `to_step`, and goes past all batches up to step `from_step`."""
        next_batch = from_step + self.memory.batches_passed
        self.memory = dataclasses.replace(memory, in_a_row=0, batches_passed=next_batch - to_step)

    def _fault(self, name: str, value: float, accepted: tuple[float, ...]) -> str | None:
        if not math.isfinite(value):
            return f"the {name} is not finite"
        if not self._sigma or len(accepted) < _FEWEST:
            return None
        mean = math.fsum(accepted) / len(accepted)
        variance = math.fsum((kept - mean) ** 2 for kept in accepted) / len(accepted)
        deviation = max(math.sqrt(variance), _SMALLEST_DEVIATION * abs(mean))
        above = value - mean
        if above <= self._sigma * deviation:
            return None
        height = f"{above / deviation:.1f} deviations" if deviation else "far"
        return f"the {name} {value:.4g} lies {height} above the {mean:.4g} of the last {len(accepted)} steps"
