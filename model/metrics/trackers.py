"""Curves in TensorBoard and Weights & Biases beside metrics.jsonl, drawn by accelerate's trackers.

Notable:
- Neither package is imported, or needed, unless `loop.trackers` names it.
- metrics.jsonl stays the record. Trackers get the same numbers under `train/` and `eval/`, by finished step. After a
  rewind or a resume, TensorBoard hides the steps that are repeated, and W&B overwrites them as far as it can.
"""

import importlib.util
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from accelerate.tracking import GeneralTracker, TensorBoardTracker, WandBTracker

from model.base.errors import BadInput

_SECTIONS = {"step": "train", "eval": "eval"}
"""The events whose numbers are tracked, and their group of curves."""


class Trackers:
    """All trackers of a run."""

    def __init__(self, names: Sequence[str], folder: Path, config: Mapping[str, Any], resumed_step: int) -> None:
        """Start the trackers named, each in a folder of its own name in `folder`, with `config` beside its curves.

        Raises BadInput if a tracker's package is not installed.
        """
        for name in names:
            if importlib.util.find_spec(name) is None:
                raise BadInput(
                    f"loop.trackers asks for {name}, which is not installed; `pip install 'sluice[{name}]'`, or take "
                    f"{name} out of the field"
                )
        start = {"tensorboard": _tensorboard, "wandb": _weights_and_biases}
        self._trackers = [start[name](folder, config, resumed_step) for name in names]

    def write(self, event: str, step: int, values: Mapping[str, Any]) -> None:
        """Pass on the numbers of a line of metrics.jsonl."""
        if event not in _SECTIONS or not self._trackers:
            return
        numbers = {
            f"{_SECTIONS[event]}/{name}": float(value)
            for name, value in values.items()
            if isinstance(value, int | float) and math.isfinite(value)
        }
        for tracker in self._trackers:
            tracker.log(numbers, step=step)

    def close(self) -> None:
        """End all trackers."""
        for tracker in self._trackers:
            tracker.finish()


def _tensorboard(folder: Path, config: Mapping[str, Any], resumed_step: int) -> GeneralTracker:
    # The purge step hides what an earlier, killed try wrote beyond its checkpoint.
    tracker = TensorBoardTracker("tensorboard", folder, purge_step=resumed_step + 1)
    tracker.start()
    if resumed_step == 0:
        tracker.log({"config": "\n".join(f"    {name}: {value}" for name, value in config.items())}, step=0)
    return tracker


def _weights_and_biases(folder: Path, config: Mapping[str, Any], resumed_step: int) -> GeneralTracker:
    import wandb

    # The folder's name holds the fingerprint of the run, so a resumed run goes on in the same curves.
    tracker = WandBTracker("sluice", id=folder.name, name=folder.name, resume="allow", dir=folder, config=dict(config))
    try:
        tracker.start()
    except wandb.errors.Error as error:
        raise BadInput(
            f"loop.trackers asks for wandb, which cannot start: {error}; log in, set WANDB_MODE=offline, or take "
            "wandb out of the field"
        ) from error
    return tracker
