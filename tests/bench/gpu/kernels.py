"""Where the time of a training step goes on a GPU: kernels by kind, and the time in which none runs.

Notable: steps are told apart by the last kernel of AdamW in each, so that starting up and compiling are left out.
"""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

_KINDS = (
    ("optimizer", r"adam|multi_tensor_apply|lpnorm"),
    ("attention", r"flex_attention|flash|fmha|sdpa|cudnn.*attn"),
    ("loss", r"log_softmax|nll|cross_entropy|softmax"),
    ("products", r"gemm|nvjet|cutlass|xmma|splitk"),
    ("embedding", r"embedding|index_select|sort|radix"),
    ("copies", r"memcpy|memset"),
    ("fused", r"triton_"),
)
"""Kinds of kernels by their names; the first that fits counts."""
_LONGEST, _LONGEST_WAITS = 25, 4
_STEP_ENDS = re.compile(r"adam", re.IGNORECASE)


class Kernel(NamedTuple):
    """One kernel that ran."""

    name: str
    start: float
    """Microseconds, on any clock."""
    duration: float
    """Microseconds."""

    @property
    def end(self) -> float:
        """Microseconds, on the same clock."""
        return self.start + self.duration


@dataclass(frozen=True)
class KernelTimes:
    """Milliseconds of a step."""

    step_ms: float
    """From the end of one step's optimizer to that of the next one's."""
    kinds_ms: dict[str, float]
    """Kernels by kind; `idle` is the time in which none runs."""
    kernels: str
    """The longest kernels, a line each: milliseconds, times that it ran, its name. Then the longest waits."""


def kernel_times(profiler: Any) -> KernelTimes:
    """Of the steps that a profiler saw, all but the first ones."""
    return times_of(
        Kernel(event.name, event.time_range.start, event.time_range.elapsed_us())
        for event in profiler.events()
        if event.device_type.name == "CUDA"
    )


def times_of(kernels: Iterable[Kernel], steps: int = 3) -> KernelTimes:
    """The mean of the last `steps` steps; all zero where there are no more steps than that."""
    ordered = sorted(kernels, key=lambda kernel: kernel.start)
    ends = _ends_of_steps(ordered)
    if len(ends) <= steps:
        return KernelTimes(0.0, {}, "")
    first, last = ends[-1 - steps], ends[-1]
    within = [kernel for kernel in ordered if first <= kernel.start < last]
    by_kind: dict[str, float] = defaultdict(float)
    by_name: dict[str, list[float]] = defaultdict(list)
    for kernel in within:
        by_kind[kind_of(kernel.name)] += kernel.duration
        by_name[kernel.name].append(kernel.duration)
    by_kind["idle"] = max(0.0, last - first - sum(by_kind.values()))
    longest = sorted(by_name.items(), key=lambda named: -sum(named[1]))[:_LONGEST]
    lines = [f"{sum(run) / steps / 1000:9.3f} ms {len(run) / steps:6.1f} x  {name[:110]}" for name, run in longest]
    waits = sorted(pairwise(within), key=lambda pair: pair[0].end - pair[1].start)
    lines += [
        f"{(later.start - earlier.end) / 1000:9.3f} ms idle before {later.name[:70]}"
        for earlier, later in waits[: steps * _LONGEST_WAITS]
    ]
    kinds = {kind: round(spent / steps / 1000, 3) for kind, spent in sorted(by_kind.items(), key=lambda kind: -kind[1])}
    return KernelTimes(round((last - first) / steps / 1000, 3), kinds, "\n".join(lines))


def kind_of(name: str) -> str:
    """The kind of a kernel."""
    return next((kind for kind, pattern in _KINDS if re.search(pattern, name, re.IGNORECASE)), "other")


def _ends_of_steps(ordered: list[Kernel]) -> list[float]:
    """When the last of each run of AdamW's kernels ended; other kernels of an optimizer may stand between them."""
    ends: list[float] = []
    inside = False
    for kernel in ordered:
        if _STEP_ENDS.search(kernel.name):
            if inside:
                ends.pop()
            ends.append(kernel.end)
            inside = True
        elif kind_of(kernel.name) in ("products", "attention"):
            inside = False
    return ends
