"""The operations between the matrix products of a block, each in the form that is fast on its device.

Notable:
- On a GPU these are plain formulas, which torch.compile fuses. On a CPU nothing fuses them, and the generic backward
  passes cost more than the products themselves; there each operation is one autograd function with an explicit
  derivative, which keeps little and passes over memory as rarely as possible.
- With `fused`, which needs a C++ compiler, a CPU's operations are the plain formulas again, each compiled into one pass
  by torch.compile: a training step then takes three quarters of the time. The matrix products between them stay
  torch's own, since compiled ones were several times slower in bfloat16.
- Short attention on a CPU keeps its probabilities and consists of batched products: at 128 positions its backward pass
  takes an eighth of the time of torch's scaled_dot_product_attention in bfloat16.
- All forms are tested against each other.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, flex_attention

_SHORT = 512
"""Longest sequence whose attention probabilities are kept, in positions."""


def rms_norm(input: Tensor, weight: Tensor, epsilon: float, fused: bool = False) -> Tensor:
    """Divide (..., channels) by the root mean square and apply a scale (channels) (arXiv:1910.07467, equation 4)."""
    if _written_out(input) and not fused:
        normed: Tensor = _RMSNorm.apply(input, weight.to(input.dtype), epsilon)
        return normed
    return _form(_plain_rms_norm, input, fused)(input, weight, epsilon)


def normed_rotation(
    heads: Tensor, weight: Tensor, epsilon: float, cosines: Tensor, sines: Tensor, fused: bool = False
) -> Tensor:
    """Apply the RMS norm, with scales (D), to each of the (B, T, heads, D) `heads`, then rotate it.

    RoFormer, arXiv:2104.09864, equation 34: `cosines` and `sines` are (B or 1, T, 1, D) float32; channel i turns with
    channel i + D/2 by the same angle, as in transformers.
    """
    if _written_out(heads) and not fused:
        # rotated(x * w) = x * (w cos) + swapped(x) * (swapped(w) -+ sin), so the scales go into the tables.
        half = weight.shape[0] // 2
        signed = torch.cat([-sines[..., :half], sines[..., half:]], dim=-1)
        straight, crossed = (weight * cosines).to(heads.dtype), (weight.roll(half) * signed).to(heads.dtype)
        rotated: Tensor = _NormedRotation.apply(heads, straight, crossed, epsilon)
        return rotated
    return _form(_plain_normed_rotation, heads, fused)(heads, weight, epsilon, cosines, sines)


def rotation(heads: Tensor, cosines: Tensor, sines: Tensor, fused: bool = False) -> Tensor:
    """Rotate as `normed_rotation` does, without the norm."""
    return _form(_plain_rotation, heads, fused)(heads, cosines, sines)


def swiglu(gate: Tensor, up: Tensor, fused: bool = False) -> Tensor:
    """Return silu(gate) * up (arXiv:2002.05202, equation 6)."""
    if _written_out(gate) and not fused:
        product: Tensor = _SwiGLU.apply(gate, up)
        return product
    return _form(_plain_swiglu, gate, fused)(gate, up)


def attention(
    queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | BlockMask | None, fused: bool = False
) -> Tensor:
    """Compute grouped-query attention of (B, T, heads, D) queries to (B, S, kv_heads, D) keys and values.

    With S > T the queries are the last T positions. `mask` is (B or 1, 1, T, S) in the type of the queries, 0 where a
    query may look and minus infinity elsewhere; or the same in blocks, for flex attention; None is causal, which needs
    S = T or T = 1.
    """
    length = queries.shape[1]
    q, k, v = (part.transpose(1, 2) for part in (queries, keys, values))
    if isinstance(mask, BlockMask):
        # Flex attention is only fast when compiled; inside a compiled block it already is.
        flex: Callable[..., Any] = flex_attention
        if queries.is_cuda and not torch.compiler.is_compiling():
            flex = compiled(flex_attention)
        mixed = flex(q, k, v, block_mask=mask, enable_gqa=True)
    elif torch.is_grad_enabled() and _written_out(queries) and length <= _SHORT:
        return _short_attention(queries, keys, values, mask, fused)
    else:
        causal = mask is None and length > 1
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal, enable_gqa=True)
    return mixed.transpose(1, 2)


def _written_out(tensor: Tensor) -> bool:
    return tensor.device.type == "cpu"


def _form(plain: Callable[..., Tensor], tensor: Tensor, fused: bool) -> Callable[..., Tensor]:
    """Return the plain formula, compiled unless something else compiles it."""
    return compiled(plain) if fused and _written_out(tensor) else plain


@cache
def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return `function` through torch.compile, once for each function."""
    return torch.compile(function)


def _plain_rms_norm(input: Tensor, weight: Tensor, epsilon: float) -> Tensor:
    return F.rms_norm(input.float(), weight.shape, weight, epsilon).to(input.dtype)


def _plain_normed_rotation(heads: Tensor, weight: Tensor, epsilon: float, cosines: Tensor, sines: Tensor) -> Tensor:
    wide = heads if heads.dtype == torch.float64 else heads.float()
    normed = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + epsilon) * weight
    return _plain_rotation(normed, cosines, sines).to(heads.dtype)


def _plain_rotation(heads: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    left, right = heads.chunk(2, -1)
    cosines, sines = cosines.chunk(2, -1)[0], sines.chunk(2, -1)[0]
    return torch.cat([left * cosines - right * sines, right * cosines + left * sines], -1).to(heads.dtype)


def _plain_swiglu(gate: Tensor, up: Tensor) -> Tensor:
    return F.silu(gate) * up


def _plain_softmax(scores: Tensor, mask: Tensor) -> Tensor:
    return (scores.float() + mask).softmax(-1).to(scores.dtype)


def _plain_softmax_backward(gradient: Tensor, probabilities: Tensor) -> Tensor:
    along = (gradient.float() * probabilities).sum(-1, keepdim=True)
    return ((gradient.float() - along) * probabilities).to(gradient.dtype)


class _RMSNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, input: Tensor, weight: Tensor, epsilon: float) -> Tensor:
        scale = _inverse_rms(input, epsilon)
        ctx.save_for_backward(input, weight, scale)
        return (input * scale).mul_(weight)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        input, weight, scale = ctx.saved_tensors
        channels = input.shape[-1]
        normed = input * scale
        product = gradients[0] * normed
        weight_gradient = product.reshape(-1, channels).sum(0)
        along = (product @ weight).unsqueeze(-1) / channels
        input_gradient = (gradients[0] * weight).addcmul_(normed, along, value=-1).mul_(scale)
        return input_gradient, weight_gradient, None


class _NormedRotation(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, heads: Tensor, straight: Tensor, crossed: Tensor, epsilon: float) -> Tensor:
        half = heads.shape[-1] // 2
        scale = _inverse_rms(heads, epsilon)
        normed = heads * scale
        output = (normed * straight).addcmul_(normed.roll(half, -1), crossed)
        ctx.save_for_backward(normed, straight, crossed, scale)
        return output

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        normed, straight, crossed, scale = ctx.saved_tensors
        gradient = gradients[0]
        half = normed.shape[-1] // 2
        inner = (gradient * straight).add_((gradient * crossed).roll(-half, -1))
        straight_gradient = _sum_to(gradient * normed, straight)
        crossed_gradient = _sum_to(gradient * normed.roll(half, -1), crossed)
        along = (inner * normed).mean(-1, keepdim=True)
        return inner.addcmul_(normed, along, value=-1).mul_(scale), straight_gradient, crossed_gradient, None


class _SwiGLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gate: Tensor, up: Tensor) -> Tensor:
        activated = F.silu(gate)
        ctx.save_for_backward(gate, up, activated)
        return activated * up

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        gate, up, activated = ctx.saved_tensors
        return torch.ops.aten.silu_backward(gradients[0] * up, gate), activated * gradients[0]


def _short_attention(queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None, fused: bool) -> Tensor:
    batch, length, heads, width = queries.shape
    kv_heads = keys.shape[2]
    group = heads // kv_heads
    # The queries that share a key head become the rows of one matrix, so keys are never repeated.
    rows = queries.view(batch, length, kv_heads, group, width).permute(0, 2, 3, 1, 4)
    rows = rows.reshape(batch * kv_heads, group * length, width)
    columns, contents = (part.transpose(1, 2).reshape(batch * kv_heads, -1, width) for part in (keys, values))
    if mask is None:
        mask = rows.new_full((1, 1, length, length), -torch.inf).triu(1)
    mixed: Tensor = _ShortAttention.apply(rows, columns, contents, mask, fused)
    mixed = mixed.view(batch, kv_heads, group, length, width).permute(0, 3, 1, 2, 4)
    return mixed.reshape(batch, length, heads, width)


class _ShortAttention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor, fused: bool) -> Tensor:
        scale = queries.shape[-1] ** -0.5
        scores = torch.baddbmm(queries.new_empty(1), queries, keys.transpose(1, 2), beta=0, alpha=scale)
        length, columns = mask.shape[2:]
        # The rows of all heads of a sequence stand one after another, so one mask serves them all.
        heads_of_masks = scores.view(len(mask) if len(mask) > 1 else 1, -1, length, columns)
        if fused:
            probabilities = compiled(_plain_softmax)(heads_of_masks, mask).view(scores.shape)
        else:
            heads_of_masks.add_(mask)
            probabilities = scores.softmax(-1)
        ctx.save_for_backward(queries, keys, values, probabilities)
        ctx.fused = fused
        return torch.bmm(probabilities, values)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        queries, keys, values, probabilities = ctx.saved_tensors
        scale = queries.shape[-1] ** -0.5
        through = torch.bmm(gradients[0], values.transpose(1, 2))
        if ctx.fused:
            scores = compiled(_plain_softmax_backward)(through, probabilities)
        else:
            scores = torch._softmax_backward_data(through, probabilities, -1, probabilities.dtype)
        of_queries, of_keys = torch.bmm(scores, keys), torch.bmm(scores.transpose(1, 2), queries)
        of_values = torch.bmm(probabilities.transpose(1, 2), gradients[0])
        return of_queries.mul_(scale), of_keys.mul_(scale), of_values, None, None


def _inverse_rms(input: Tensor, epsilon: float) -> Tensor:
    at_least = torch.float64 if input.dtype == torch.float64 else torch.float32
    norm = torch.linalg.vector_norm(input, dim=-1, keepdim=True, dtype=at_least)
    return norm.square_().div_(input.shape[-1]).add_(epsilon).rsqrt_().to(input.dtype)


def _sum_to(product: Tensor, table: Tensor) -> Tensor:
    """Sum (B, T, heads, D) to the shape of a table (B or 1, T, 1, D)."""
    return (product.sum(0, keepdim=True) if table.shape[0] == 1 else product).sum(2, keepdim=True)
