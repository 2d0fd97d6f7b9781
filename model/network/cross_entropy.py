"""The output head and its loss in one operation, in chunks of positions.

Notable:
- The full (positions x vocabulary) table of logits is never kept. Each chunk's logits, probabilities and gradients are
  made and used at once, so memory stays at one chunk, and the backward pass has nothing left to do but scale. The
  gradient is computed in the forward pass, as in Liger Kernel (arXiv:2410.10989, section 3.2).
- A chunk on a CPU fits its cache. A GPU takes larger ones: for each, the head's whole gradient is read and written,
  which in bfloat16 happens inside the matrix product.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from model.base.sizes import LEAST_ROWS_PER_CHUNK, LOGITS_PER_GPU_CHUNK
from model.network.operations import compiled

_LOGITS_PER_CHUNK = 1 << 20


class _LinearCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor, fused: bool, needs_gradient: bool) -> Tensor:
        cast = weight.to(hidden.dtype)
        rows = _rows_of_a_chunk(len(targets), weight.shape[0], hidden.is_cuda)
        loss = torch.zeros((), dtype=torch.float32, device=hidden.device)
        hidden_gradient = torch.empty_like(hidden) if needs_gradient else None
        weight_gradient = torch.zeros_like(weight, dtype=torch.float32) if needs_gradient else None
        nats_and_gradient = compiled(_plain_nats_and_gradient) if fused else _nats_and_gradient
        for start in range(0, len(targets), rows):
            part, wanted = hidden[start : start + rows], targets[start : start + rows]
            nats, gradient = nats_and_gradient(part @ cast.t(), wanted)
            loss += nats
            if hidden_gradient is not None and weight_gradient is not None:
                torch.mm(gradient, cast, out=hidden_gradient[start : start + rows])
                _add_product(weight_gradient, gradient.t(), part)
        ctx.save_for_backward(hidden_gradient, weight_gradient)
        return loss

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None, None, None]:
        hidden_gradient, weight_gradient = ctx.saved_tensors
        scaled = hidden_gradient * gradients[0].to(hidden_gradient.dtype)
        return scaled, weight_gradient * gradients[0], None, None, None


def _rows_of_a_chunk(positions: int, vocabulary: int, on_gpu: bool) -> int:
    """Return the positions of a chunk; on a GPU chunks are about equal, so that none is too small to fill it."""
    rows = max(LEAST_ROWS_PER_CHUNK, (LOGITS_PER_GPU_CHUNK if on_gpu else _LOGITS_PER_CHUNK) // vocabulary)
    return -(-positions // -(-positions // rows)) if on_gpu and positions else rows


def _add_product(total: Tensor, left: Tensor, right: Tensor) -> None:
    """Add `left @ right` to the float32 `total`."""
    if left.is_cuda and left.dtype == torch.bfloat16:
        # The sum is float32 throughout, and takes no extra pass over memory.
        torch.addmm(total, left, right, out_dtype=torch.float32, out=total)
    else:
        total += left @ right


def _nats_and_gradient(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Return the summed loss of (rows, vocabulary) logits, and its gradient in their type."""
    nats, log_probabilities, index, counted = _nats(logits, targets)
    gradient = log_probabilities.exp_()
    gradient.scatter_add_(1, index, gradient.new_full((1, 1), -1.0).expand_as(index))
    return nats, gradient.mul_(counted).to(logits.dtype)


def _plain_nats_and_gradient(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Do the same without scattered writes, which torch.compile could not fuse with the rest."""
    nats, log_probabilities, index, counted = _nats(logits, targets)
    hit = torch.arange(logits.shape[1], device=logits.device) == index
    return nats, ((log_probabilities.exp() - hit.float()) * counted).to(logits.dtype)


def _nats(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the summed loss, log-probabilities, and for each row its target's column and whether it counts."""
    log_probabilities = torch.log_softmax(logits.float(), dim=-1)
    counted, index = (targets >= 0).unsqueeze(1), targets.clamp(min=0).unsqueeze(1)
    return -(log_probabilities.gather(1, index) * counted).sum(), log_probabilities, index, counted


def linear_cross_entropy(hidden: Tensor, weight: Tensor, targets: Tensor, fused: bool = False) -> Tensor:
    """Return the summed cross-entropy, in nats, of the logits `hidden @ weight.T`, with gradients for both.

    `hidden` is (positions, width), float32 or bfloat16; the matrix products run in its type, the softmax in float32.
    `weight` is (vocabulary, width). A negative target is not counted. `fused`: model/network/operations.py.
    """
    if hidden.device.type == "cpu":
        # Positions that are not counted cost as much as others, and in finetuning they are most of them. Elsewhere
        # their number would have to be waited for.
        counted = (targets >= 0).nonzero().squeeze(1)
        if len(counted) < len(targets):
            hidden, targets = hidden.index_select(0, counted), targets[counted]
    # Decided here: inside the function gradients are always off, and a parameter always requires one.
    needs_gradient = torch.is_grad_enabled() and (hidden.requires_grad or weight.requires_grad)
    loss: Tensor = _LinearCrossEntropy.apply(hidden, weight, targets, fused, needs_gradient)
    return loss


def nats_of_each(hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    """Return the cross-entropy of each position, in nats: float32 (positions), 0 where there is no target.

    Takes what `linear_cross_entropy` does. Chunks of logits are made again in the backward pass instead of being kept,
    since each position's factor is known only then.
    """
    counted = targets >= 0
    chosen = counted.nonzero().squeeze(1)
    if not len(chosen):
        chosen = chosen.new_zeros(1)  # so that the loss depends on every weight, as DDP expects
    parts, wanted = hidden.index_select(0, chosen), targets[chosen].clamp(min=0)
    rows = _rows_of_a_chunk(len(chosen), weight.shape[0], hidden.is_cuda)
    nats = [
        checkpoint(_nats_of_rows, parts[at : at + rows], weight, wanted[at : at + rows], use_reentrant=False)
        for at in range(0, len(chosen), rows)
    ]
    found = torch.zeros(len(targets), device=hidden.device).index_put((chosen,), torch.cat(nats))
    return found * counted


def _nats_of_rows(hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    return F.cross_entropy((hidden @ weight.to(hidden.dtype).t()).float(), targets, reduction="none")
