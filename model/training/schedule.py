"""Learning-rate schedules as pure functions of the step: nothing to save, nothing to restore.

Notable: every step trains on the same number of sequences, so the share of steps done is the share of the run's tokens,
up to how full the sequences are. A run that is extended to more steps takes the rate that the longer run has at this
step: a finished decay is left, and the new one comes at the new end.
"""

import math

from model.base.learning_config import ScheduleConfig


def learning_rate_factor(config: ScheduleConfig, step: int, steps: int) -> float:
    """Return the share of the peak learning rate, between 0 and 1, in step number `step` (from 0) of `steps`.

    Warmup reaches the peak at step `warmup_steps`; the decay reaches `final_fraction` just after the last step, so that
    no step has a rate of 0. Warmup-stable-decay: MiniCPM, arXiv:2404.06395, section 4. Cosine: SGDR,
    arXiv:1608.03983, equation 5, without restarts. Linear: straight from peak to end, arXiv:2310.07831.
    """
    if step < config.warmup_steps:
        return (step + 1) / (config.warmup_steps + 1)
    if config.name != "warmup_stable_decay":
        share = min(1.0, (step - config.warmup_steps) / max(1, steps - config.warmup_steps))
        height = 1.0 - share if config.name == "linear" else 0.5 * (1.0 + math.cos(math.pi * share))
    else:
        decay_steps = max(1, round(config.decay_fraction * steps))
        height = min(1.0, (steps - step) / decay_steps) if config.decay_fraction else 1.0
    return config.final_fraction + (1.0 - config.final_fraction) * max(0.0, height)
