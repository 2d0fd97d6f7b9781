"""Which positions attention may see: the whole sequence, its own document, a window, earlier positions only.

Notable:
- A mask has one of three forms. None is plain causal attention. On a GPU it is a block mask of flex attention, which
  skips the blocks that are masked as a whole and takes no memory for the rest; elsewhere it is a table to add to the
  scores. model/network/operations.py takes all three, and they are tested against each other.
- Padding is a segment like any other, so that a softmax over nothing, which would be NaN, never occurs.
"""

import importlib.util

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, create_block_mask

from model.network.operations import compiled

AttentionMask = Tensor | BlockMask | None
"""(B or 1, 1, T, S), 0 where a query may see and minus infinity elsewhere; or the same in blocks; None is causal."""


def self_attention_mask(
    tokens: Tensor, segments: Tensor | None, causal: bool, window: int, dtype: torch.dtype
) -> AttentionMask:
    """Return the mask of a layer whose queries and keys are the same positions, those of `tokens` (B, T).

    A position sees only those with its own number in `segments` (B, T), which stand next to each other, and `window`
    positions on either side, itself included (0 sets no limit).
    """
    length = tokens.shape[1]
    window = 0 if window >= length else window
    if causal and segments is None and not window:
        return None
    if takes_block_masks(tokens.device):
        return block_mask(tokens, segments, causal, window)
    if segments is None:
        allowed = torch.ones(1, length, length, dtype=torch.bool, device=tokens.device)
    else:
        allowed = segments.unsqueeze(2) == segments.unsqueeze(1)
    if causal:
        allowed = allowed.tril()
    if window:
        allowed = allowed.triu(1 - window).tril(window - 1)
    return added_to_scores(allowed.unsqueeze(1), dtype)


def added_to_scores(allowed: Tensor, dtype: torch.dtype) -> Tensor:
    """Return the table to add to attention's scores: 0 where looking is allowed, minus infinity elsewhere."""
    return torch.where(allowed, 0.0, -torch.inf).to(dtype)


def block_mask(tokens: Tensor, segments: Tensor | None, causal: bool, window: int) -> BlockMask:
    """Return the same mask for flex attention (arXiv:2412.05496).

    A query sees a run of consecutive keys, so the kernel reads the two ends of the run and nothing for each key.
    """
    first, last = _ends_of_runs(tokens, segments, causal, window)

    def allowed(row: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return (key >= first[row, query]) & (key <= (query if causal else last[row, query]))

    make = compiled(create_block_mask) if tokens.is_cuda else create_block_mask
    rows, length = tokens.shape
    mask: BlockMask = make(allowed, rows, None, length, length, device=str(tokens.device))
    return mask


def _ends_of_runs(tokens: Tensor, segments: Tensor | None, causal: bool, window: int) -> tuple[Tensor, Tensor]:
    """Return the first and the last key that each query sees, (B, T) int32."""
    rows, length = tokens.shape
    columns = torch.arange(length, dtype=torch.int32, device=tokens.device).expand(rows, length)
    first, last = torch.zeros_like(columns), torch.full_like(columns, length - 1)
    if segments is not None:
        changes = segments[:, 1:] != segments[:, :-1]
        first[:, 1:] = torch.where(changes, columns[:, 1:], 0)
        first = first.cummax(1).values
        last[:, :-1] = torch.where(changes, columns[:, :-1], length - 1)
        last = last.flip(1).cummin(1).values.flip(1)
    if window:
        first, last = first.maximum(columns - (window - 1)), last.minimum(columns + (window - 1))
    return first, columns if causal else last


def takes_block_masks(device: torch.device) -> bool:
    """Return whether attention with a mask is flex attention on this device: a GPU, with Triton to compile it."""
    return device.type == "cuda" and importlib.util.find_spec("triton") is not None
