"""The metrics log: one JSON object a line, written during training.

Notable: a resumed run appends to the same file. Lines after the checkpoint's step are cut off first, as is a last line
that a kill left incomplete, so the file never holds a step twice.

Lines: {"event": "step", "step", "tokens", "loss", "lr", "grad_norm", "tokens_per_second", "seconds", "data_wait",
"mfu", "peak_memory_bytes", "bits_per_byte", ...} with what the loss measures beside itself, {"event": "eval", "step",
"loss", "bits_per_byte", "documents", ...} likewise, {"event": "sample", "step", "prompt", "reply", ...},
{"event": "skipped", "step", "loss", "grad_norm", "reason"} for a skipped step, {"event": "rewind", "step",
"from_step", "batches_passed", "reason"}, {"event": "micro_batch", "step", "rows"}, {"event": "start", "step",
"activations"} with the type of the activations on this device, {"event": "resume", "step"}, {"event": "data",
"step": 0, ...} with what finetuning cut or left out, {"event": "done", "step", "tokens", "seconds", "reason"}, with a
reason only if the run ends before its last step.

Reinforcement learning adds to "step" the means over the step's replies: "reward", "reward_NAME" of each of its parts,
"reply_tokens", the shares "cut" by the limit and "failed" to get a reward, "no_signal", the share of groups whose
rewards are all equal, "fault", the first failure in words, "entropy", the mean of -log p of the tokens drawn, and "kl".
"eval" has the same of the replies to held-out prompts, {"event": "sample", "step", "prompt", "reply", "reward"} a few.

Losses are in nats per token, seconds since the program started; `step` counts finished optimizer steps. `data_wait` is
the share of time spent waiting for batches. `mfu` is the share of the devices' peak (model/metrics/device_peak.py),
left out where that is unknown. `bits_per_byte` of a step is its loss over the mean bytes of the dataset's tokens,
document boundaries included, left out where bytes are unknown: it moves with the loss, while that of an evaluation is
the one to compare by.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from model.base.full_disk import writing, written_whole
from model.base.json_lines import json_lines, logged_objects


class MetricsLog:
    """The open log; each line is flushed, so that a reader sees it at once."""

    def __init__(self, path: Path, resumed_step: int) -> None:
        """Open the log and cut off what came after `resumed_step`; 0 starts a new log."""
        self._path = path
        kept = json_lines(_events_up_to(resumed_step, path) if resumed_step else ())
        with written_whole(path) as log:
            log.write_text(kept, encoding="utf-8")
        self._file = path.open("a", encoding="utf-8")

    def write(self, event: str, step: int, **values: Any) -> None:
        """Append one event."""
        with writing(self._path):
            self._file.write(json_lines([{"event": event, "step": step, **values}]))
            self._file.flush()

    def close(self) -> None:
        """Close the file."""
        with writing(self._path):
            self._file.close()


def _events_up_to(step: int, path: Path) -> Iterator[dict[str, Any]]:
    text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    for event in logged_objects(text):
        at = event.get("step")
        if event.get("event") != "done" and isinstance(at, int) and at <= step:
            yield event
