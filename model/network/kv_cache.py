"""The key-value cache: keys and values of earlier tokens, so that generation reads each token once."""

import torch
from torch import Tensor

from model.base.config import ModelShape


class KeyValueCache:
    """Memory for a batch of sequences; prompts of unequal length are padded on the left.

    Notable: memory is allocated once, for the longest sequence. Padding is masked and takes no position, so the tokens
    of a sequence are numbered from 0 whatever precedes them.
    """

    def __init__(
        self,
        shape: ModelShape,
        batch: int,
        capacity: int,
        dtype: torch.dtype,
        device: torch.device,
        padding: Tensor | None = None,
    ) -> None:
        """Allocate `capacity` positions, padding included, of each of `batch` sequences.

        `padding`: (B) how many positions at the start of each sequence are padding; None where none are.
        """
        size = (shape.layers, batch, capacity, shape.kv_heads, shape.head_dim)
        self._keys = torch.zeros(size, dtype=dtype, device=device)
        self._values = torch.zeros(size, dtype=dtype, device=device)
        self._padding = padding
        self.length = 0
        """Positions that every layer has filled; for the model to count."""

    def extend(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Store new (B, T, kv_heads, D) keys and values of a layer and return those of all positions so far."""
        end = self.length + keys.shape[1]
        self._keys[layer, :, self.length : end] = keys
        self._values[layer, :, self.length : end] = values
        return self._keys[layer, :, :end], self._values[layer, :, :end]

    def positions(self, length: int) -> Tensor:
        """Return the (B or 1, length) positions of the next `length` tokens within their sequences."""
        columns = torch.arange(self.length, self.length + length, device=self._keys.device).unsqueeze(0)
        return columns if self._padding is None else (columns - self._padding[:, None]).clamp(min=0)

    def mask(self, length: int, window: int = 0) -> Tensor | None:
        """Return what the next `length` positions may see in a layer with this window (0: none).

        The result is (B or 1, 1, length, filled + length), or None where attention is just causal.
        """
        end = self.length + length
        window = 0 if window >= end else window
        if not window and self._padding is None and (self.length == 0 or length == 1):
            return None
        columns = torch.arange(end, device=self._keys.device)
        rows = columns[self.length :, None]
        allowed = (columns <= rows).unsqueeze(0)
        if window:
            allowed = allowed & (rows - columns < window)
        if self._padding is not None:
            # A padding position looks at itself, since a softmax over nothing is not a number.
            allowed = (allowed & (columns >= self._padding[:, None, None])) | (columns == rows)
        return allowed.unsqueeze(1)

    def keep(self, rows: Tensor) -> None:
        """Drop the sequences that are not in `rows`, a (B') tensor of indices."""
        self._keys, self._values = self._keys[:, rows], self._values[:, rows]
        if self._padding is not None:
            self._padding = self._padding[rows]
