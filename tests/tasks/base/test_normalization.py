"""Normalization: what Unicode says, and an end of it on hostile text."""

import time
import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from tasks.base.normalization import normalize

MARKS = "\u0301\u0327"


@given(st.text(alphabet=st.sampled_from("aé한가नि" + MARKS + "—★。 "), max_size=60))
def test_text_is_normalized_as_unicode_says(text: str) -> None:
    for form in ("NFC", "NFD"):
        assert normalize(form, text) == unicodedata.normalize(form, text)


def test_of_more_than_thirty_marks_the_first_stay() -> None:
    assert normalize("NFD", "a" + "\u0301" * 100 + "b" + "\u0327" * 31) == "a" + "\u0301" * 30 + "b" + "\u0327" * 30


def test_runs_of_marks_take_time_in_proportion_to_their_length() -> None:
    begun = time.process_time()
    assert len(normalize("NFC", "a" + MARKS * 200_000)) < 40
    assert time.process_time() - begun < 5
