"""Rules over columns: what they fail, how they explain it, and reasons to a column and back."""

import numpy as np
import pyarrow as pa
import pytest

from tasks.dataset.rules import Threshold, reasons_column, stored_reasons
from tasks.filter.config import FilterConfig, filter_rules


def test_what_was_not_measured_fails_nothing() -> None:
    columns = (pa.chunked_array([[1, None]], pa.int32()), pa.chunked_array([[1.0, None]], pa.float32()))
    for column in columns:
        decisions = pa.table({"x": column})
        assert Threshold("low", "x", "<", 3).failing(decisions).tolist() == [True, False]
        assert Threshold("high", "x", ">", 0).failing(decisions).tolist() == [True, False]


def test_a_failure_is_explained_by_the_limit_that_held() -> None:
    rules = filter_rules(FilterConfig(languages=(), language_thresholds={"de": {"gopher_min_words": 40}}))
    words = next(one for one in rules if one.name == "gopher_min_words")
    assert words.explain({"words": 31, "language": "en"}) == "gopher_min_words: words 31 < 50"
    assert words.explain({"words": 31, "language": "de"}) == "gopher_min_words: words 31 < 40"


@pytest.mark.parametrize("chunks", [[], [[]], [[[]], [["a"], ["a", "b"]], [[]]]])
def test_reasons_are_found_across_chunks(chunks: list[list[list[str]]]) -> None:
    column = pa.chunked_array(chunks, pa.list_(pa.string()))
    rows = [reasons for chunk in chunks for reasons in chunk]
    found = stored_reasons(column)
    assert [[name for name, has in found.items() if has[row]] for row in range(len(rows))] == rows
    assert reasons_column(found, len(rows)).to_pylist() == rows
    assert all(has.dtype == np.bool_ for has in found.values())
