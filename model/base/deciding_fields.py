"""Which fields of a program's config decide its result, and which may change when a run is resumed."""

from collections.abc import Mapping
from typing import Any

PACE_FIELDS: frozenset[str] = frozenset(
    {
        *("micro_batch", "compile", "threads", "log_every", "trackers", "parallelism", "activation_checkpointing"),
        *("evaluate_every", "checkpoint_every", "checkpoint_minutes", "keep_checkpoints", "background_checkpoint_mib"),
    }
)
"""The fields of `LoopConfig` that decide where and how fast a run goes and what it logs, but not its weights or its
held-out score, beyond the rounding of sums. They may change when a run is resumed, and they are no part of a run's
fingerprint. `evaluation_documents` is not among them: it decides which documents are scored."""

RESUME_FIELDS: frozenset[str] = frozenset({"steps", "max_hours", "patience", "spike_sigma"})
"""The fields of `LoopConfig` that decide the result and may still change when a run is resumed: where it ends, and
which steps it skips."""


def deciding_fields(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a program's config, as plain values, that decide its result: all but its loop's pace and
    the place of the model that it begins with."""
    # `init_digest` and `base_digest` are what they hold.
    config = {name: value for name, value in config.items() if name not in ("init", "base")}
    loop = config.get("loop")
    if loop is None:
        return config
    pace = PACE_FIELDS - {"evaluate_every"} if loop["patience"] else PACE_FIELDS
    return {**config, "loop": {name: value for name, value in loop.items() if name not in pace}}
