"""A function of whole matrices whose rows are spread over processes, as FSDP2 spreads them.

Notable: orthogonalising a matrix takes all its rows, so the matrices of one shape are divided up: each is gathered on
one process, which works on it as a single process would, and its rows are sent back. That takes two exchanges of the
matrices' size for a batch of them, and no work is done twice.
"""

from collections.abc import Callable

import torch
import torch.distributed as dist
from torch import Tensor


def on_whole_matrices(
    shards: Tensor, rows: int, group: dist.ProcessGroup, function: Callable[[Tensor], Tensor]
) -> Tensor:
    """Apply `function` to whole matrices; return this process's rows. Every process of the group calls this.

    `shards` is (N, rows here, columns), this process's rows of N matrices, split as `torch.chunk` does. `function`
    takes (M, rows, columns) with M at least 1 and returns the same shape, of any type, which is that of the result.
    """
    count, here, columns = shards.shape
    size, rank = group.size(), group.rank()
    owned = [count * (owner + 1) // size - count * owner // size for owner in range(size)]
    heights = shard_heights(rows, size)
    sent = [number * here * columns for number in owned]
    kept = [owned[rank] * height * columns for height in heights]
    received = shards.new_empty(sum(kept))
    dist.all_to_all_single(received, shards.reshape(-1), kept, sent, group=group)
    pieces = zip(received.split(kept), heights, strict=True)
    whole = torch.cat([piece.view(owned[rank], height, columns) for piece, height in pieces], dim=1)
    # A process that owns no matrix calls the function too, to learn the type of its result.
    result = function(whole if owned[rank] else whole.new_zeros(1, rows, columns))[: owned[rank]]
    back = torch.cat([piece.reshape(-1) for piece in result.split(heights, dim=1)])
    returned = back.new_empty(sum(sent))
    dist.all_to_all_single(returned, back, sent, kept, group=group)
    return returned.view(shards.shape)


def shard_heights(rows: int, processes: int) -> list[int]:
    """Return the rows that each process holds of a matrix, as `torch.chunk` splits them; some may hold none."""
    most = -(-rows // processes)
    return [max(0, min(most, rows - process * most)) for process in range(processes)]
