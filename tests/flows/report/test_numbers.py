"""Numbers as the report writes them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.display.numbers import decimal, duration, grouped, share, short, size


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (grouped(1234567), "1,234,567"),
        (grouped(None), "–"),
        (short(999), "999"),
        (short(1903), "1.9k"),
        (short(1_900_000), "1.9M"),
        (short(999_900), "1,000k"),
        (decimal(1.23456), "1.235"),
        (size(999), "999 bytes"),
        (size(20_466_268), "20.5 MB"),
        (size(0), "0 bytes"),
        (duration(4.21), "4.2 s"),
        (duration(59.97), "1 min 00 s"),
        (duration(185), "3 min 05 s"),
        (duration(7800), "2 h 10 min"),
        (share(0.8449), "84%"),
        (share(0.99999), "99.9%"),
        (share(0.00001), "0.1%"),
        (share(1.0), "100%"),
        (share(0.0), "0%"),
        (share(None), "–"),
    ],
)
def test_numbers_are_written_for_a_reader(written: str, expected: str) -> None:
    assert written == expected


@given(st.floats(0, 1, exclude_min=True, exclude_max=True))
def test_only_all_is_all_and_only_nothing_is_nothing(value: float) -> None:
    assert share(value) not in ("0%", "100%", "0.0%", "100.0%")


@given(st.floats(1, 1e13))
def test_short_numbers_are_short_and_near(value: float) -> None:
    text = short(value)
    scale = {"k": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}.get(text[-1], 1)
    assert float(text.rstrip("kMBT").replace(",", "")) * scale == pytest.approx(value, rel=0.51 if value < 2 else 0.26)
    assert len(text) <= 6
