"""A decoder in torch: on a GPU, and on a CPU without a C compiler.

Notable: sequences that have one row in a pass share one attention; a prompt's rows, which follow one another, have one
of their own.
"""

from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from model.inference.decoder import DecoderWeights, LayerWeights, Rows


class TorchDecoder:
    """The model and its cache on one device, in float32 or bfloat16."""

    def __init__(
        self, weights: DecoderWeights, slots: int, context: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        shape = weights.shape
        self.slots, self.context, self.vocab_size, self.device = slots, context, shape.vocab_size, device
        self._shape, self._dtype = shape, dtype
        self._embedding = weights.embedding.to(device, dtype)
        self._head = self._embedding if weights.head is None else weights.head.to(device, dtype)
        self._norm = weights.norm.to(device)
        self._layers = [_on(layer, dtype, device) for layer in weights.layers]
        self._cosines = weights.cosines[:context].to(device)
        self._sines = weights.sines[:context].to(device)
        size = (shape.layers, slots, shape.kv_heads, context, shape.head_dim)
        self._keys, self._values = (torch.zeros(size, dtype=dtype, device=device) for _ in range(2))
        self.cache_bytes = 2 * self._keys.nbytes
        matrices = [self._embedding, *(part for layer in self._layers for part in (layer.qkv, layer.out))]
        matrices += [part for layer in self._layers for part in (layer.gate_up, layer.down)]
        self.weight_bytes = sum(matrix.nbytes for matrix in matrices)
        self.weight_bytes += 0 if weights.head is None else self._head.nbytes

    def copy(self, source: int, target: int, length: int) -> None:
        """Copy the first `length` positions of a slot into another."""
        for part in (self._keys, self._values):
            part[:, target, :, :length] = part[:, source, :, :length]

    @torch.inference_mode()
    def forward(self, rows: Rows) -> Tensor:
        """Store the rows' keys and values and return float32 logits (wanted, vocabulary)."""
        tokens, slots, positions = (
            torch.tensor(part, device=self.device) for part in (rows.tokens, rows.slots, rows.positions)
        )
        groups = _groups(rows, positions)
        rotary = self._cosines[positions].unsqueeze(1), self._sines[positions].unsqueeze(1)
        stream = F.embedding(tokens, self._embedding).float()
        for number, layer in enumerate(self._layers):
            stream = stream + self._attend(number, layer, stream, slots, positions, rotary, groups)
            gate, up = F.linear(self._normed(stream, layer.post_norm), layer.gate_up).chunk(2, -1)
            stream = stream + F.linear(F.silu(gate) * up, layer.down).float()
        wanted = stream if len(rows.wanted) == len(rows.tokens) else stream[rows.wanted]
        return F.linear(self._normed(wanted, self._norm), self._head).float()

    def _normed(self, stream: Tensor, scale: Tensor) -> Tensor:
        return F.rms_norm(stream, scale.shape, scale, self._shape.norm_epsilon).to(self._dtype)

    def _attend(
        self,
        number: int,
        layer: LayerWeights,
        stream: Tensor,
        slots: Tensor,
        positions: Tensor,
        rotary: tuple[Tensor, Tensor],
        groups: list["_Group"],
    ) -> Tensor:
        shape = self._shape
        qkv = F.linear(self._normed(stream, layer.input_norm), layer.qkv, layer.qkv_bias).unflatten(
            -1, (-1, shape.head_dim)
        )
        queries, keys, values = qkv.split([shape.heads, shape.kv_heads, shape.kv_heads], dim=1)
        queries = self._rotated(queries, layer.q_norm, rotary)
        self._keys[number, slots, :, positions] = self._rotated(keys, layer.k_norm, rotary)
        self._values[number, slots, :, positions] = values
        mixed = torch.empty_like(queries)
        for group in groups:
            sequences = group.of(self._keys[number]), group.of(self._values[number])
            mixed[group.rows] = group.attention(queries[group.rows], *sequences, layer.window)
        return F.linear(mixed.flatten(1), layer.out, layer.out_bias).float()

    def _rotated(self, heads: Tensor, scale: Tensor | None, rotary: tuple[Tensor, Tensor]) -> Tensor:
        heads = heads.float()
        if scale is not None:
            heads = F.rms_norm(heads, scale.shape, scale, self._shape.norm_epsilon)
        left, right = heads.chunk(2, -1)
        return (heads * rotary[0] + torch.cat([-right, left], -1) * rotary[1]).to(self._dtype)


@dataclass(frozen=True)
class _Group:
    """Rows that share an attention: one of each of several sequences, or several of one sequence."""

    rows: slice | Tensor
    slots: list[int]
    positions: Tensor
    """(B, T), with B sequences or T rows being 1."""
    end: int
    """Positions that the longest sequence has, these rows included."""

    def of(self, cache: Tensor) -> Tensor:
        """Return the (B, kv_heads, end, D) keys or values of the group in a layer's cache."""
        if len(self.slots) == 1:
            return cache[self.slots[0] : self.slots[0] + 1, :, : self.end]
        return cache[self.slots, :, : self.end]

    def attention(self, queries: Tensor, keys: Tensor, values: Tensor, window: int) -> Tensor:
        """Return the (rows, heads, D) results of as many queries."""
        batched = queries.unflatten(0, self.positions.shape).transpose(1, 2)
        columns = torch.arange(self.end, device=queries.device)
        distance = self.positions.unsqueeze(-1) - columns
        allowed = (distance >= 0) & (distance < window) if window else distance >= 0
        mixed = F.scaled_dot_product_attention(batched, keys, values, attn_mask=allowed.unsqueeze(1), enable_gqa=True)
        return mixed.transpose(1, 2).flatten(0, 1)


def _groups(rows: Rows, positions: Tensor) -> list[_Group]:
    """Return the group of the sequences with one row, and one for each other sequence."""
    starts = [row for row, slot in enumerate(rows.slots) if row == 0 or slot != rows.slots[row - 1]]
    runs = list(zip(starts, [*starts[1:], len(rows.slots)], strict=True))
    groups = []
    singles = [start for start, end in runs if end - start == 1]
    if singles:
        own = slice(None) if len(singles) == len(rows.slots) else torch.tensor(singles, device=positions.device)
        longest = max(rows.positions[row] for row in singles) + 1
        groups.append(_Group(own, [rows.slots[row] for row in singles], positions[own].unsqueeze(1), longest))
    for start, end in runs:
        if end - start > 1:
            own = slice(start, end)
            groups.append(_Group(own, [rows.slots[start]], positions[own].unsqueeze(0), rows.positions[end - 1] + 1))
    return groups


def _on(layer: LayerWeights, dtype: torch.dtype, device: torch.device) -> LayerWeights:
    """Return a layer on a device: matrices and biases in the given type, the scales of the norms in float32."""
    kept: dict[str, Any] = {
        name: part.to(device, torch.float32 if name.endswith("norm") else dtype)
        for name, part in vars(layer).items()
        if isinstance(part, Tensor)
    }
    return replace(layer, **kept)
