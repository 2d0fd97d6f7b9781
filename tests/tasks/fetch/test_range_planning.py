"""Requests for wanted records: all of them are covered, nothing twice, no gap beyond the one allowed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.base.errors import PermanentError
from tasks.fetch.page_selection import SelectConfig
from tasks.fetch.range_planning import RangeCost, Records, checked_records, range_cost, spans

GAPS_AND_LENGTHS = st.lists(st.tuples(st.integers(0, 1000), st.integers(1, 500)), min_size=1, max_size=30)


def laid_out(gaps_and_lengths: list[tuple[int, int]]) -> Records:
    ends = np.cumsum([gap + length for gap, length in gaps_and_lengths])
    lengths = np.array([length for _, length in gaps_and_lengths])
    return checked_records("a.warc.gz", ends - lengths, lengths)


@given(GAPS_AND_LENGTHS, st.integers(0, 800), st.floats(0, 1))
def test_requests_cover_the_records_and_little_else(layout: list[tuple[int, int]], gap: int, share: float) -> None:
    records = laid_out(layout)
    asked = spans(records, SelectConfig(merge_gap_bytes=gap, whole_from_share=share))
    assert (asked[:, 0] < asked[:, 1]).all()
    assert (asked[1:, 0] > asked[:-1, 1]).all()
    for begin, end in zip(records.offsets, records.ends, strict=True):
        assert ((asked[:, 0] <= begin) & (end <= asked[:, 1])).sum() == 1
    if len(asked) > 1:
        assert (asked[1:, 0] - asked[:-1, 1] > gap).all()
        read = (asked[:, 1] - asked[:, 0]).sum()
        assert read < share * (records.ends[-1] - records.offsets[0])


def test_near_records_come_in_one_request_and_a_dense_file_in_one_altogether() -> None:
    records = checked_records("a.warc.gz", [100, 250, 1000, 5000], [100, 50, 10, 20])
    sparse = SelectConfig(merge_gap_bytes=50, whole_from_share=1.0)
    assert spans(records, sparse).tolist() == [[100, 300], [1000, 1010], [5000, 5020]]
    assert spans(records, SelectConfig(merge_gap_bytes=700, whole_from_share=1.0)).tolist() == [
        [100, 1010],
        [5000, 5020],
    ]
    assert spans(records, SelectConfig(merge_gap_bytes=700, whole_from_share=0.1)).tolist() == [[100, 5020]]
    assert range_cost(records, sparse) == RangeCost(1, 0, 3, 4, 180, 230)


@given(GAPS_AND_LENGTHS, st.data())
def test_a_place_in_the_small_file_is_traced_to_the_large_one(
    layout: list[tuple[int, int]], data: st.DataObject
) -> None:
    records = laid_out(layout)
    large = bytes(data.draw(st.binary(min_size=int(records.ends[-1]), max_size=int(records.ends[-1]))))
    small = b"".join(large[begin:end] for begin, end in zip(records.offsets, records.ends, strict=True))
    position = data.draw(st.integers(0, len(small) - 1))
    assert small[position] == large[records.original_offset(position)]


def test_records_are_sorted_and_each_is_there_once() -> None:
    records = checked_records("a.warc.gz", [50, 10, 50], [5, 40, 5])
    assert (records.offsets.tolist(), records.lengths.tolist()) == ([10, 50], [40, 5])


@pytest.mark.parametrize(("offsets", "lengths"), [([0, 5], [6, 5]), ([-1], [5]), ([3], [0]), ([5, 5], [3, 4])])
def test_places_that_cannot_be_are_refused(offsets: list[int], lengths: list[int]) -> None:
    with pytest.raises(PermanentError, match=r"a\.warc\.gz: the index says that a record of .* the index is not"):
        checked_records("a.warc.gz", offsets, lengths)
