"""Muon updates heads of queries and keys, and groups of hidden units, each by itself; an update is as large as that of
a whole matrix.
"""

from typing import Literal

import pytest
import torch
from torch import nn

from model.base.learning_config import OptimizerConfig
from model.base.sizes import ModelShape
from model.network.transformer import Transformer
from model.training.muon import Muon
from model.training.muon_slices import Slices, divided, joined, slices_of
from model.training.optimizer import build_optimizers
from tests.model.tiny_corpus import SHAPE

WIDE = ModelShape(**{**SHAPE, "heads": 4, "kv_heads": 2, "hidden_size": 32, "intermediate_size": 48})


def updated(gradient: torch.Tensor, slices: Slices) -> torch.Tensor:
    """A matrix of zeros after one step."""
    weight = nn.Parameter(torch.zeros_like(gradient))
    weight.grad = gradient.clone()
    Muon([weight], lr=1.0, momentum=0.9, weight_decay=0.0, slices={weight: slices}).step()
    return weight.detach()


def drawn(rows: int, columns: int) -> torch.Tensor:
    """A gradient."""
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("slices", [Slices(4), Slices(4, "columns"), Slices()])
def test_dividing_can_be_undone(slices: Slices) -> None:
    matrices = torch.arange(2 * 8 * 12).reshape(2, 8, 12)
    parts = divided(matrices, slices)
    assert len(parts) == 2 * slices.parts
    assert torch.equal(joined(parts, slices), matrices)


def test_a_slice_is_what_is_next_to_each_other() -> None:
    matrix = torch.arange(8).reshape(1, 2, 4)
    assert divided(matrix, Slices(2)).tolist() == [[[0, 1, 2, 3]], [[4, 5, 6, 7]]]
    assert divided(matrix, Slices(2, "columns")).tolist() == [[[0, 1], [4, 5]], [[2, 3], [6, 7]]]


def test_each_slice_has_the_update_that_it_would_have_alone() -> None:
    gradient = drawn(64, 32)
    alone = torch.cat([updated(part, Slices()) for part in gradient.split(16)])
    torch.testing.assert_close(updated(gradient, Slices(4)), alone)
    wide = gradient.T.contiguous()
    alone = torch.cat([updated(part.contiguous(), Slices()) for part in wide.split(16, dim=1)], dim=1)
    # Each slice of columns is tall, so alone it is enlarged by the root of its sides' ratio, and has fewer columns.
    torch.testing.assert_close(updated(wide, Slices(4, "columns")), alone / 4**0.5)


@pytest.mark.parametrize(("rows", "columns"), [(64, 64), (256, 64), (64, 256)])
@pytest.mark.parametrize("side", ["rows", "columns"])
def test_an_update_is_as_large_however_the_matrix_is_divided(
    rows: int, columns: int, side: Literal["rows", "columns"]
) -> None:
    gradient = drawn(rows, columns)
    for count in (1, 2, 4, 8):
        size = updated(gradient, Slices(count, side)).square().mean().sqrt()
        assert size == pytest.approx(columns**-0.5, rel=0.1)


def test_queries_and_keys_are_divided_by_heads_and_the_mlp_by_as_many_units_and_the_rest_is_whole() -> None:
    model = Transformer(WIDE)
    found = slices_of(model)
    by_name = {name: found[weight] for name, weight in model.named_parameters() if weight in found}
    block = {name.removeprefix("layers.0."): slices for name, slices in by_name.items() if "layers.0." in name}
    assert block == {
        "self_attn.q_proj.weight": Slices(4),
        "self_attn.k_proj.weight": Slices(2),
        "mlp.gate_proj.weight": Slices(6),
        "mlp.up_proj.weight": Slices(6),
        "mlp.down_proj.weight": Slices(6, "columns"),
    }
    assert len(found) == len(block) * WIDE.layers, "nothing outside of the blocks"


@pytest.mark.parametrize(
    ("hidden_units", "count"), [(48, 6), (50, 5), (47, 1), (4, 1)], ids=["of a head's width", "wider", "prime", "few"]
)
def test_groups_of_hidden_units_are_equal_and_no_narrower_than_a_head(hidden_units: int, count: int) -> None:
    shape = ModelShape(**{**SHAPE, "heads": 4, "kv_heads": 2, "hidden_size": 32, "intermediate_size": hidden_units})
    model = Transformer(shape)
    assert slices_of(model)[model.get_parameter("layers.0.mlp.gate_proj.weight")] == Slices(count)


def test_heads_are_updated_by_themselves_where_it_is_asked_for() -> None:
    moved = {}
    units: tuple[Literal["matrix", "head"], ...] = ("matrix", "head")
    for unit in units:
        torch.manual_seed(0)
        model = Transformer(WIDE)
        for weight in model.parameters():
            weight.grad = torch.randn(weight.shape)
        weight = model.get_parameter("layers.0.self_attn.q_proj.weight")
        before = weight.detach().clone()
        for optimizer in build_optimizers(model, OptimizerConfig(muon_unit=unit, weight_decay=0), torch.float32):
            optimizer.step()
        moved[unit] = weight.detach() - before
    whole = torch.linalg.svdvals(moved["matrix"])
    by_heads = torch.stack([torch.linalg.svdvals(part) for part in moved["head"].split(8)])
    for singular in (whole, by_heads):
        assert singular.max() / singular.min() < 1.6
    assert torch.linalg.svdvals(moved["head"]).max() > 1.3 * whole.max()
