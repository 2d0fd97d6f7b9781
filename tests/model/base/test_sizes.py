"""One dial for all sizes."""

import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.base.sizes import ModelShape, reserved_ids, sizes_of_depth
from tests.conftest import ROOT

GIVEN: dict[str, Any] = {"vocab_size": 512, "context": 64}


@pytest.mark.parametrize(
    ("depth", "hidden_size", "heads", "kv_heads", "head_dim", "intermediate_size"),
    [
        (1, 64, 1, 1, 64, 192),
        (4, 256, 4, 2, 64, 704),
        (12, 768, 12, 6, 64, 2048),
        (16, 1024, 8, 4, 128, 2752),
        (17, 1152, 9, 9, 128, 3072),
        (24, 1536, 12, 6, 128, 4096),
    ],
)
def test_the_depth_sets_all_sizes(
    depth: int, hidden_size: int, heads: int, kv_heads: int, head_dim: int, intermediate_size: int
) -> None:
    shape = ModelShape(**GIVEN, **sizes_of_depth(depth, GIVEN))
    assert (shape.layers, shape.hidden_size, shape.heads) == (depth, hidden_size, heads)
    assert (shape.kv_heads, shape.head_dim, shape.intermediate_size) == (kv_heads, head_dim, intermediate_size)


@given(st.integers(1, 200))
def test_every_depth_gives_a_model(depth: int) -> None:
    shape = ModelShape(**GIVEN, **sizes_of_depth(depth, GIVEN))
    assert shape.heads * shape.head_dim == shape.hidden_size >= 64 * depth
    assert 0 <= shape.intermediate_size - 8 * shape.hidden_size / 3 < 64


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ({"layers": 9}, {"hidden_size": 256, "heads": 4}),
        ({"hidden_size": 512}, {"layers": 4, "heads": 8, "kv_heads": 4, "intermediate_size": 1408}),
        ({"heads": 3, "hidden_size": 192}, {"kv_heads": 3, "intermediate_size": 512}),
        ({"head_dim": 128}, {"hidden_size": 256, "heads": 2, "kv_heads": 1}),
        ({"kv_heads": 1}, {"heads": 4}),
        ({"intermediate_size": 100}, {"hidden_size": 256}),
    ],
)
def test_a_named_size_stays_and_the_others_follow_it(named: dict[str, Any], expected: dict[str, Any]) -> None:
    sizes = sizes_of_depth(4, named)
    assert sizes.items() >= expected.items() and not sizes.keys() & named.keys()
    shape = ModelShape(**GIVEN, **named, **sizes)
    assert {name: getattr(shape, name) for name in named} == named


@pytest.mark.parametrize(
    ("depth", "named", "message"),
    [
        (0, {}, "depth must be a whole number of at least 1, not 0"),
        ("6", {}, "depth must be a whole number of at least 1, not '6'"),
        (True, {}, "depth must be a whole number"),
        (4, {"hidden_size": "wide"}, "hidden_size must be a whole number of at least 1, not 'wide'"),
        (
            4,
            {"layers": 1, "hidden_size": 64, "heads": 1, "kv_heads": 1, "intermediate_size": 64},
            "depth has nothing to set",
        ),
    ],
)
def test_what_gives_no_sizes_is_refused(depth: Any, named: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        sizes_of_depth(depth, named)


def test_only_gaps_need_ids_of_their_own() -> None:
    assert [reserved_ids(name, 512) for name in ("causal", "masked", "span_corruption")] == [0, 1, 27]


def test_sizes_need_the_standard_library_alone() -> None:
    script = "import sys; sys.modules['torch'] = sys.modules['numpy'] = None; import model.base.sizes"
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)
