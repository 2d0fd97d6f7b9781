"""Learning-rate schedules as pure functions of the step: nothing to save, nothing to resume."""

from __future__ import annotations

import math

from model.config import ScheduleConfig


def learning_rate_factor(config: ScheduleConfig, step: int, steps: int) -> float:
    """The share of the peak learning rate that step number `step` (from 0) of `steps` uses, between 0 and 1.

    Warmup reaches the peak at step `warmup_steps`; the decay ends at `final_fraction` just after the last step, so that
    no step is spent on a rate of 0. Warmup-stable-decay: MiniCPM, arXiv:2404.06395, section 4. Cosine: SGDR,
    arXiv:1608.03983, equation 5, without restarts.
    """
    if step < config.warmup_steps:
        return (step + 1) / (config.warmup_steps + 1)
    if config.name == "cosine":
        share = (step - config.warmup_steps) / max(1, steps - config.warmup_steps)
        height = 0.5 * (1.0 + math.cos(math.pi * min(1.0, share)))
    else:
        decay_steps = max(1, round(config.decay_fraction * steps))
        height = min(1.0, (steps - step) / decay_steps) if config.decay_fraction else 1.0
    return config.final_fraction + (1.0 - config.final_fraction) * max(0.0, height)
