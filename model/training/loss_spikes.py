"""Which steps are skipped because they would harm the model, and when skipping no longer helps.

Notable:
- A step is bad if its loss or gradient norm is not finite, or lies more than `spike_sigma` deviations above the last
  128 accepted steps (OLMo-core's SkipStepOptimizer, https://github.com/allenai/OLMo-core, checks the same two).
- All processes check the same reduced numbers, which the loop fetches anyway, so they agree without an exchange.
- Several bad steps in a row mean that an earlier batch has damaged the weights. The loop then goes back to the newest
  checkpoint and skips every batch seen since (PaLM, arXiv:2204.02311, section 5.1).
- The state is part of the checkpoint, so a resumed run decides as an uninterrupted one would.
"""

import dataclasses
import math

from model.checkpoints.progress import LossSpikeState

_WINDOW = 128
"""Accepted steps that a step is compared with."""
_FEWEST = 64
"""Accepted steps that are needed before anything counts as a spike."""
_SMALLEST_DEVIATION = 1e-3
"""Least deviation, as a share of the mean: where losses hardly move, not every ripple is a spike."""
IN_A_ROW = 5
"""Bad steps in a row that show that skipping does not help."""
REWINDS = 3
"""Times that a run goes back to one checkpoint before it gives up."""


class LossSpikes:
    """Checks each step, in order."""

    def __init__(self, sigma: float, state: LossSpikeState) -> None:
        """Go on from `state`; `sigma` deviations above the mean make a spike, 0 only checks for finite numbers."""
        self._sigma = sigma
        self.state = state
        """The state after the last step that was checked."""
        self._rewinds, self._rewound_to = 0, -1

    def check(self, loss: float, norm: float) -> str | None:
        """Return why the step must be skipped; None accepts it and remembers its loss and gradient norm."""
        state = self.state
        fault = self._fault("loss", loss, state.losses) or self._fault("gradient norm", norm, state.norms)
        if fault is None:
            losses, norms = ((*kept, new)[-_WINDOW:] for kept, new in ((state.losses, loss), (state.norms, norm)))
            self.state = LossSpikeState(losses, norms, 0, state.batches_passed)
        else:
            self.state = dataclasses.replace(state, in_a_row=state.in_a_row + 1)
        return fault

    @property
    def skipping_does_not_help(self) -> bool:
        """Whether the last steps were all bad."""
        return self.state.in_a_row >= IN_A_ROW

    def may_rewind_to(self, step: int) -> bool:
        """Count a return to the checkpoint of `step`; return whether there were not too many."""
        self._rewinds = self._rewinds + 1 if step == self._rewound_to else 1
        self._rewound_to = step
        return self._rewinds <= REWINDS

    def rewind(self, state: LossSpikeState, to_step: int, from_step: int) -> None:
        """Take the state of the checkpoint of `to_step`, and skip all batches up to step `from_step`."""
        next_batch = from_step + self.state.batches_passed
        self.state = dataclasses.replace(state, in_a_row=0, batches_passed=next_batch - to_step)

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
