"""How fast steps are, how long they wait for data, and how much memory they take: fields of the log's step lines.

Notable: speed is counted from one step line to the next, without synchronising with the device.
"""

import math
import resource
import sys
from collections.abc import Callable
from typing import Any

import torch

from model.base.sizes import ModelShape
from model.metrics.device_peak import peak_flop_per_second
from model.metrics.flops import flop_per_token


class StepSpeed:
    """Sums over the steps since the last line."""

    def __init__(
        self,
        shape: ModelShape,
        device: torch.device,
        dtype: torch.dtype,
        processes: int,
        bytes_per_token: float | None,
        cost: Callable[[ModelShape], float] = flop_per_token,
    ) -> None:
        """Assume that all `processes` have such a device; `cost` is the FLOP of training on one token.

        `bytes_per_token`: UTF-8 bytes of text per predicted token on average; None if not known.
        """
        self._flop_per_token = cost(shape)
        peak = peak_flop_per_second(device, dtype)
        self.peak_flop_per_second = None if peak is None else peak * processes
        """The peak of all processes' devices together; None where it is not known."""
        self._device, self._bytes_per_token = device, bytes_per_token
        self._tokens, self._seconds, self._waited = 0, 0.0, 0.0

    def add(self, tokens: int, seconds: float, waited: float) -> None:
        """Count a step: input tokens over all processes, seconds in total, and seconds waited for its batch."""
        self._tokens += tokens
        self._seconds += seconds
        self._waited += waited

    def line(self, loss: float) -> dict[str, Any]:
        """Return the fields of the next step line and start counting anew; `loss` in nats per token.

        What is not known is left out.
        """
        rate = self._tokens / self._seconds
        fields: dict[str, Any] = {"tokens_per_second": round(rate), "data_wait": round(self._waited / self._seconds, 4)}
        if self.peak_flop_per_second:
            fields["mfu"] = round(rate * self._flop_per_token / self.peak_flop_per_second, 4)
        fields["peak_memory_bytes"] = _peak_memory(self._device)
        if self._bytes_per_token:
            fields["bits_per_byte"] = loss / math.log(2) / self._bytes_per_token
        self._tokens, self._seconds, self._waited = 0, 0.0, 0.0
        return fields


def _peak_memory(device: torch.device) -> int:
    """Return the peak memory of tensors on a GPU, or of this process in RAM, in bytes."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
