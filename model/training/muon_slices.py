"""The parts of a block's matrices that Muon orthogonalises each by itself: heads, and groups of hidden units.

Notable: a step of the iteration takes time with the square of a matrix's shorter side, so that slices as wide as a head
take a third of the time of whole matrices at 12M parameters. Values and the output projection stay whole: divided by
heads, they bear no high rate in a model of many heads (docs/log.md). arXiv:2605.08933 compares heads, groups of heads
and whole matrices; arXiv:2510.16981 takes whole ones every few steps.
"""

from typing import Literal, NamedTuple

from torch import Tensor, nn

from model.objectives.objectives import LanguageModel


class Slices(NamedTuple):
    """Equal parts of a matrix, side by side."""

    parts: int = 1
    side: Literal["rows", "columns"] = "rows"
    """Which of the matrix's sides is divided: the one that is not the residual stream."""

    def shape(self, rows: int, columns: int) -> tuple[int, int]:
        """Return the rows and columns of each slice of a matrix."""
        return (rows // self.parts, columns) if self.side == "rows" else (rows, columns // self.parts)


def slices_of(model: LanguageModel) -> dict[nn.Parameter, Slices]:
    """Return how matrices of the blocks are divided: queries and keys by heads, the MLP's by as many units."""
    shape = model.shape
    units = _most_parts(shape.intermediate_size, shape.head_dim)
    by_name = {
        "q_proj": Slices(shape.heads),
        "k_proj": Slices(shape.kv_heads),
        "gate_proj": Slices(units),
        "up_proj": Slices(units),
        "down_proj": Slices(units, "columns"),
    }
    named = ((name.split(".")[-2:], parameter) for name, parameter in model.named_parameters())
    return {weight: by_name[path[0]] for path, weight in named if path[0] in by_name and path[1] == "weight"}


def divided(matrices: Tensor, slices: Slices) -> Tensor:
    """Turn N matrices, (N, rows, columns), into N * parts slices of them, those of a matrix one after the other."""
    number, rows, columns = matrices.shape
    if slices.side == "columns":
        matrices = matrices.reshape(number, rows, slices.parts, columns // slices.parts).transpose(1, 2)
    return matrices.reshape(number * slices.parts, *slices.shape(rows, columns))


def joined(pieces: Tensor, slices: Slices) -> Tensor:
    """Undo `divided`."""
    total, rows, columns = pieces.shape
    number = total // slices.parts
    if slices.side == "rows":
        return pieces.reshape(number, rows * slices.parts, columns)
    matrices = pieces.reshape(number, slices.parts, rows, columns).transpose(1, 2)
    return matrices.reshape(number, rows, columns * slices.parts)


def _most_parts(whole: int, least: int) -> int:
    """Return into how many equal parts of at least `least` something can be divided."""
    return max(parts for parts in range(1, max(1, whole // least) + 1) if whole % parts == 0)
