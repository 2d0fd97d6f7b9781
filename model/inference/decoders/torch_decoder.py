"""A decoder in torch: on a GPU, and on a CPU without a C compiler.

Notable:
- Sequences that have one row in a pass share one attention; the rows of a prompt, which follow one another, have an
  attention of their own.
- On a GPU, a pass of one row for each sequence is captured as a CUDA graph, once for each number of sequences and
  length, both rounded up.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from model.inference.decoders.decoder import DecoderWeights, LayerWeights, Rows, WeightPrecision, quantised

_LENGTHS = 256
"""A captured pass attends to a multiple of this many positions."""


class _Matrix:
    """A matrix of weights (outputs, inputs) on a device, int8 ones with a scale for each output."""

    def __init__(self, weight: Tensor, bias: Tensor | None, int8: bool, dtype: torch.dtype, device: torch.device):
        self._dtype = dtype
        values, scales = quantised(weight.float()) if int8 else (weight.to(dtype), None)
        self._values, self._scales = values.to(device), None if scales is None else scales.to(device, dtype)
        self._bias = None if bias is None else bias.to(device, dtype)
        self.nbytes = self._values.nbytes + (0 if self._scales is None else self._scales.nbytes)

    def rows(self, numbers: Tensor) -> Tensor:
        """Return rows of the matrix."""
        rows = F.embedding(numbers, self._values).to(self._dtype)
        return rows if self._scales is None else rows * self._scales[numbers].unsqueeze(1)

    def __call__(self, input: Tensor) -> Tensor:
        """Map (rows, inputs) to (rows, outputs)."""
        if self._scales is None:
            return F.linear(input, self._values, self._bias)
        product = F.linear(input, self._values.to(self._dtype)) * self._scales
        return product if self._bias is None else product + self._bias


@dataclass(frozen=True)
class _Layer:
    """One block on its device."""

    weights: LayerWeights
    """Only the norms' scales and the window are read from here."""
    qkv: _Matrix
    out: _Matrix
    gate_up: _Matrix
    down: _Matrix


@dataclass(frozen=True)
class _Group:
    """Rows that share an attention: one of each of several sequences, or several of one sequence."""

    rows: slice | Tensor
    slots: slice | Tensor
    positions: Tensor
    """(B, T), with B sequences or T rows being 1."""
    end: int
    """Positions that are read: at least those of the longest sequence, these rows included."""

    def attention(self, queries: Tensor, keys: Tensor, values: Tensor, window: int) -> Tensor:
        """Return the (rows, heads, D) results of as many queries to a layer's cache."""
        batched = queries.unflatten(0, self.positions.shape).transpose(1, 2)
        distance = self.positions.unsqueeze(-1) - torch.arange(self.end, device=queries.device)
        allowed = (distance >= 0) & (distance < window) if window else distance >= 0
        sequences = keys[self.slots, :, : self.end], values[self.slots, :, : self.end]
        mixed = F.scaled_dot_product_attention(batched, *sequences, attn_mask=allowed.unsqueeze(1), enable_gqa=True)
        return mixed.transpose(1, 2).flatten(0, 1)


class TorchDecoder:
    """The model and its cache on one device."""

    def __init__(
        self, weights: DecoderWeights, slots: int, context: int, precision: WeightPrecision, device: torch.device
    ) -> None:
        shape = weights.shape
        # With int8 weights, activations have the type that is fast on the device.
        wide = precision == "float32" or (precision == "int8" and device.type == "cpu")
        dtype = torch.float32 if wide else torch.bfloat16
        self.slots, self.context, self.vocab_size, self.device = slots, context, shape.vocab_size, device
        self._shape, self._dtype = shape, dtype

        def matrix(weight: Tensor, bias: Tensor | None = None) -> _Matrix:
            made = _Matrix(weight, bias, precision == "int8", dtype, device)
            self.weight_bytes += made.nbytes
            return made

        self.weight_bytes = 0
        self._embedding = matrix(weights.embedding)
        self._head = self._embedding if weights.head is None else matrix(weights.head)
        self._norm = weights.norm.to(device, torch.float32)
        self._layers = [
            _Layer(
                layer.scales_on(device),
                matrix(layer.qkv, layer.qkv_bias),
                matrix(layer.out, layer.out_bias),
                matrix(layer.gate_up),
                matrix(layer.down),
            )
            for layer in weights.layers
        ]
        self._cosines, self._sines = weights.cosines[:context].to(device), weights.sines[:context].to(device)
        size = (shape.layers, slots, shape.kv_heads, context, shape.head_dim)
        self._keys, self._values = (torch.zeros(size, dtype=dtype, device=device) for _ in range(2))
        self.cache_bytes = 2 * self._keys.nbytes
        self._captured: dict[tuple[int, int], Callable[[Rows], Tensor]] = {}

    def copy(self, source: int, target: int, length: int) -> None:
        """Copy the first `length` positions of a slot into another."""
        for part in (self._keys, self._values):
            part[:, target, :, :length] = part[:, source, :, :length]

    @torch.inference_mode()
    def forward(self, rows: Rows) -> Tensor:
        """Store the rows' keys and values and return float32 logits (wanted, vocabulary), valid until the next pass."""
        if self.device.type == "cuda" and len(rows.wanted) == len(rows.tokens) == len(set(rows.slots)):
            return self._replay(rows)
        tokens, slots, positions = self._tensors(rows)
        logits = self._pass(tokens, slots, positions, _groups(rows, slots, positions))
        return self._logits(logits if len(rows.wanted) == len(rows.tokens) else logits[rows.wanted])

    def _tensors(self, rows: Rows) -> tuple[Tensor, Tensor, Tensor]:
        tokens, slots = torch.tensor(rows.tokens, device=self.device), torch.tensor(rows.slots, device=self.device)
        return tokens, slots, torch.tensor(rows.positions, device=self.device)

    def _pass(self, tokens: Tensor, slots: Tensor, positions: Tensor, groups: Sequence[_Group]) -> Tensor:
        """Return the last layer's stream (rows, hidden), float32."""
        rotary = self._cosines[positions].unsqueeze(1), self._sines[positions].unsqueeze(1)
        stream = self._embedding.rows(tokens).float()
        for number, layer in enumerate(self._layers):
            queries, keys, values = self._heads(layer, stream, rotary)
            self._keys[number, slots, :, positions] = keys
            self._values[number, slots, :, positions] = values
            mixed = torch.empty_like(queries)
            for group in groups:
                cache = self._keys[number], self._values[number]
                mixed[group.rows] = group.attention(queries[group.rows], *cache, layer.weights.window)
            stream = stream + layer.out(mixed.flatten(1)).float()
            gate, up = layer.gate_up(self._normed(stream, layer.weights.post_norm)).chunk(2, -1)
            stream = stream + layer.down(F.silu(gate) * up).float()
        return stream

    def _logits(self, stream: Tensor) -> Tensor:
        return self._head(self._normed(stream, self._norm)).float()

    def _normed(self, stream: Tensor, scale: Tensor) -> Tensor:
        return F.rms_norm(stream, scale.shape, scale, self._shape.norm_epsilon).to(self._dtype)

    def _heads(self, layer: _Layer, stream: Tensor, rotary: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Return queries, keys and values, (rows, heads, D) each."""
        shape = self._shape
        qkv = layer.qkv(self._normed(stream, layer.weights.input_norm)).unflatten(-1, (-1, shape.head_dim))
        queries, keys, values = qkv.split([shape.heads, shape.kv_heads, shape.kv_heads], dim=1)
        return (
            self._rotated(queries, layer.weights.q_norm, rotary),
            self._rotated(keys, layer.weights.k_norm, rotary),
            values,
        )

    def _rotated(self, heads: Tensor, scale: Tensor | None, rotary: tuple[Tensor, Tensor]) -> Tensor:
        heads = heads.float()
        if scale is not None:
            heads = F.rms_norm(heads, scale.shape, scale, self._shape.norm_epsilon)
        left, right = heads.chunk(2, -1)
        return (heads * rotary[0] + torch.cat([-right, left], -1) * rotary[1]).to(self._dtype)

    def _replay(self, rows: Rows) -> Tensor:
        """Run a pass of one row for each sequence by its graph, captured when it is first needed."""
        size = min(1 << (len(rows.tokens) - 1).bit_length(), self.slots)
        end = min(-(-(max(rows.positions) + 1) // _LENGTHS) * _LENGTHS, self.context)
        missing = size - len(rows.tokens)
        # What is missing repeats the first row, which stores the same keys and values again.
        tokens, slots, positions = ([*part, *[part[0]] * missing] for part in (rows.tokens, rows.slots, rows.positions))
        full = Rows(tokens, slots, positions, rows.wanted)
        if (size, end) not in self._captured:
            self._captured[size, end] = self._capture(full, end)
        return self._captured[size, end](full)[: len(rows.tokens)]

    def _capture(self, rows: Rows, end: int) -> Callable[[Rows], Tensor]:
        """Return a function that runs a pass like `rows` by replaying a CUDA graph."""
        inputs = self._tensors(rows)
        group = _Group(slice(None), inputs[1], inputs[2].unsqueeze(1), end)

        def run() -> Tensor:
            return self._logits(self._pass(*inputs, [group]))

        replay, logits = captured(run)

        def forward(rows: Rows) -> Tensor:
            for held, new in zip(inputs, (rows.tokens, rows.slots, rows.positions), strict=True):
                held.copy_(torch.tensor(new))
            replay()
            return logits

        return forward


def captured(run: Callable[[], Tensor]) -> tuple[Callable[[], Any], Tensor]:
    """Return a function that repeats `run` on a GPU as one launch, and where it leaves the result."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        run()  # libraries make their workspaces outside the graph
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = run()
    return graph.replay, result


def _groups(rows: Rows, slots: Tensor, positions: Tensor) -> list[_Group]:
    """Return the group of the sequences with one row, and one for each other sequence."""
    starts = [row for row, slot in enumerate(rows.slots) if row == 0 or slot != rows.slots[row - 1]]
    runs = list(zip(starts, [*starts[1:], len(rows.slots)], strict=True))
    groups = []
    singles = [start for start, end in runs if end - start == 1]
    if singles:
        own = slice(None) if len(singles) == len(rows.slots) else torch.tensor(singles, device=positions.device)
        longest = max(rows.positions[row] for row in singles) + 1
        groups.append(_Group(own, slots[own], positions[own].unsqueeze(1), longest))
    for start, end in runs:
        if end - start > 1:
            slot, own = rows.slots[start], slice(start, end)
            place = slice(slot, slot + 1)
            groups.append(_Group(own, place, positions[own].unsqueeze(0), rows.positions[end - 1] + 1))
    return groups
