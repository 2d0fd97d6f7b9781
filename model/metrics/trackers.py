"""Metrics for other programs to look at: TensorBoard and Weights & Biases, beside metrics.jsonl.

Notable:
- Neither is imported, or needed, unless `loop.trackers` names it.
- metrics.jsonl stays the record. Trackers get the same numbers under `train/` and `eval/`, by finished step; what a
  rewind or a resume takes back, TensorBoard hides and W&B overwrites only as far as it can.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from model.base.errors import BadInput

_SECTIONS = {"step": "train", "eval": "eval"}
"""The events whose numbers are tracked, and the group of curves they go to."""


class Tracker(Protocol):
    """A place for curves."""

    def write(self, values: Mapping[str, float], step: int) -> None:
        """Adds a point at `step` to the curve of each name."""

    def close(self) -> None:
        """Writes what is left."""


class Trackers:
    """All trackers of a run."""

    def __init__(self, names: Sequence[str], folder: Path, config: Mapping[str, Any], resumed_step: int) -> None:
        """
        Args:
            names: from `loop.trackers`.
            folder: the model folder; each tracker writes into a folder of its own name there.
            config: the run's settings, as plain values, shown beside its curves.
            resumed_step: the step that training goes on from.

        Raises:
            BadInput: a tracker's package is not installed.
        """
        for name in names:
            if importlib.util.find_spec(name) is None:
                raise BadInput(
                    f"loop.trackers asks for {name}, which is not installed; `pip install 'sluice[{name}]'`, or take "
                    f"{name} out of the field"
                )
        self._trackers: list[Tracker] = [
            (_TensorBoard if name == "tensorboard" else _WeightsAndBiases)(folder, config, resumed_step)
            for name in names
        ]

    def write(self, event: str, step: int, values: Mapping[str, Any]) -> None:
        """Passes on the numbers of a line of metrics.jsonl."""
        if event not in _SECTIONS or not self._trackers:
            return
        numbers = {
            f"{_SECTIONS[event]}/{name}": float(value)
            for name, value in values.items()
            if isinstance(value, int | float) and math.isfinite(value)
        }
        for tracker in self._trackers:
            tracker.write(numbers, step)

    def close(self) -> None:
        """Ends all trackers."""
        for tracker in self._trackers:
            tracker.close()


class _TensorBoard:
    def __init__(self, folder: Path, config: Mapping[str, Any], resumed_step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        # The purge step hides what an earlier, killed try wrote beyond its checkpoint.
        self._writer = SummaryWriter(str(folder / "tensorboard"), purge_step=resumed_step + 1)
        if resumed_step == 0:
            self._writer.add_text("config", "\n".join(f"    {name}: {value}" for name, value in config.items()), 0)

    def write(self, values: Mapping[str, float], step: int) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        self._writer.close()


class _WeightsAndBiases:
    def __init__(self, folder: Path, config: Mapping[str, Any], resumed_step: int) -> None:
        import wandb

        # The folder's name holds the fingerprint of the run, so a resumed run goes on in the same curves.
        try:
            self._run = wandb.init(
                project="sluice", id=folder.name, name=folder.name, resume="allow", dir=folder, config=dict(config)
            )
        except wandb.errors.Error as error:
            raise BadInput(
                f"loop.trackers asks for wandb, which cannot start: {error}; log in, set WANDB_MODE=offline, or take "
                "wandb out of the field"
            ) from error

    def write(self, values: Mapping[str, float], step: int) -> None:
        self._run.log(dict(values), step=step)

    def close(self) -> None:
        self._run.finish()
