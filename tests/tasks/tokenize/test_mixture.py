"""How often a document counts: exact shares, stable choices, steps by duplicates and quality."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tasks.base.errors import PermanentError
from tasks.tokenize.mixture import (
    MixtureConfig,
    Step,
    cluster_sizes,
    copies,
    copy_keys,
    repeated,
    source_epochs,
    times_of,
)

STEPS = (Step(at_least=2, times=1.5), Step(at_least=5, times=3), Step(at_least=100, times=0))


def ids(number: int) -> pa.ChunkedArray:
    return pa.chunked_array([[f"W:{place}" for place in range(number)]])


def mixture(**values: Any) -> MixtureConfig:
    return MixtureConfig.model_validate(values)


def test_steps_say_how_often_a_cluster_of_each_size_counts() -> None:
    sizes = np.array([1, 2, 4, 5, 99, 100, 5000])
    assert times_of(sizes, STEPS).tolist() == [1, 1.5, 1.5, 3, 3, 0, 0]
    assert times_of(np.array([np.nan, -1.0]), STEPS).tolist() == [1, 1], "no score, no step"


def test_a_cluster_counts_all_that_it_was_made_of() -> None:
    duplicates = pa.table({"id": ["W:0", "W:1", "W:2", "W:4"], "size": pa.array([None, 3, None, 2], pa.int64())})
    assert cluster_sizes(ids(6), duplicates).tolist() == [1, 3, 1, 1, 2, 1]
    assert cluster_sizes(ids(2), duplicates.slice(0, 0)).tolist() == [1, 1]


@given(st.lists(st.floats(0, 9), max_size=50), st.integers(0, 3))
def test_a_document_is_packed_as_often_as_it_counts_to_within_one(times: list[float], seed: int) -> None:
    counts = copies(np.array(times), copy_keys(ids(len(times)), seed))
    assert (counts >= np.floor(times)).all() and (counts <= np.ceil(times)).all()
    packed = repeated(counts)
    assert np.array_equal(np.bincount(packed, minlength=len(times)), counts)


def test_a_fraction_of_a_copy_goes_to_that_share_of_the_documents_whatever_is_beside_them() -> None:
    keys = copy_keys(ids(20_000), 1)
    counts = copies(np.full(20_000, 2.3), keys)
    assert abs(counts.mean() - 2.3) < 0.01
    assert np.array_equal(copies(np.full(500, 2.3), keys[700:1200]), counts[700:1200])
    fewer = copies(np.full(20_000, 2.1), keys)
    assert (fewer <= counts).all(), "who gets a copy at less gets it at more"
    assert not np.array_equal(copies(np.full(20_000, 2.3), copy_keys(ids(20_000), 2)), counts)


def test_copies_of_a_document_do_not_stand_side_by_side() -> None:
    assert repeated(np.array([2, 0, 1, 3])).tolist() == [0, 2, 3, 0, 3, 3]


def test_weights_are_shares_of_the_tokens_and_repeat_nothing_unless_asked() -> None:
    others = {"wiki": {"store": "s", "weight": 1}}
    epochs = source_epochs(mixture(own={"weight": 3}, others=others), {"own": 3000.0, "wiki": 4000.0})
    assert epochs == {"own": 1.0, "wiki": 0.25}
    asked = mixture(own={"weight": 3}, others=others, tokens=16_000)
    assert source_epochs(asked, {"own": 3000.0, "wiki": 4000.0}) == {"own": 4.0, "wiki": 1.0}


def test_epochs_are_taken_as_they_are() -> None:
    config = mixture(own={"epochs": 2.5}, others={"wiki": {"store": "s"}})
    assert source_epochs(config, {"own": 1.0, "wiki": 0.0}) == {"own": 2.5, "wiki": 1.0}


def test_what_cannot_be_mixed_is_said() -> None:
    weighted = mixture(own={"weight": 1}, others={"wiki": {"store": "s", "weight": 1}}, tokens=10**9)
    with pytest.raises(PermanentError, match="wiki has a weight but no token to train on"):
        source_epochs(weighted, {"own": 10.0, "wiki": 0.0})
    with pytest.raises(PermanentError, match=r"wiki would be repeated 5,000,000 times, more than 1000"):
        source_epochs(weighted, {"own": 10.0**8, "wiki": 100.0})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"own": {"weight": 1}, "others": {"wiki": {"store": "s"}}}, "give a weight to every source of the mixture"),
        ({"own": {"weight": 1, "epochs": 1}}, "a weight or epochs, not both"),
        ({"tokens": 5}, "mixture.tokens needs weights"),
        ({"others": {"own": {"store": "s"}}}, "'own' is the run's own corpus"),
        ({"by_duplicates": [{"at_least": 3, "times": 1}, {"at_least": 3, "times": 2}]}, "ascending at_least"),
    ],
)
def test_contradictions_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        mixture(**values)
