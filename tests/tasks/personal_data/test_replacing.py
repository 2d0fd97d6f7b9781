"""Personal data: what is found and what is not, frozen; replacing is stable, local, and linear in a text's length."""

import json
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tasks.personal_data.check import PersonalDataCheck
from tasks.personal_data.placeholders import PLACEHOLDERS
from tasks.personal_data.replacing import (
    KINDS,
    Kind,
    PersonalDataConfig,
    find_personal_data,
    replace_personal_data,
)

VECTORS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[2] / "golden" / "personal_data.json").read_text(encoding="utf-8")
)

# Pieces that are personal data, nearly are, or decide about their neighbours; glued together in any order.
PIECES = [
    *("a@b.com", "post@tolvane.de", "@", "+44 20 7946 0958", "+1", "(212) 555-0123", "212-555-0123", "01 42 68 53 00"),
    *("020 7946 0958", "03-1234-5678", "8 (495) 123-45-67", "93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946"),
    *("4111 1111 1111 1111", "4111111111111111", "378282246310005", "DE89 3704 0044 0532 0130 00"),
    *("GB29NWBK60161331926819", "AKIAIOSFODNN7EXAMPLE", "ghp_" + "a1B2" * 9, "-----BEGIN PRIVATE KEY-----", "A" * 40),
    *("-----END PRIVATE KEY-----", "eyJ", "Tel: ", "phone ", "version ", "2019-12-01", "x45", "::", "2606:", "a", "é"),
    *("中", "_", "%", "[", "]", " ", "  ", "\xa0", "\n", " / ", " - ", "-", ".", "/", "+", "(", ")", ":", ",", "="),
    *("0", "00", "12", "123", "1234", "999", *PLACEHOLDERS.values()),
]
GLUED = st.lists(st.sampled_from(PIECES), max_size=9).map("".join)
NUMERIC = st.text(alphabet=st.sampled_from("0123456789+-.()/ :[]PHONEx@a\n"), max_size=60)
SOME_KINDS = st.sets(st.sampled_from(KINDS)).map(tuple)

HOSTILE = (
    *(
        "@",
        "a@",
        "a@a.",
        "é@é.",
        "a",
        "a.",
        "0",
        "1 ",
        "1.",
        "12-",
        "1.1.1.1.",
        "93.184.216.34 ",
        "+",
        "(",
        "+1 ",
        "(0",
    ),
    *("+44 20 7946 0958 ", "Tel: 1234567 ", "0 / ", "212-555-", "4111 ", "4111111111111112 ", "GB29 ", "GB29NWBK6016"),
    *(
        ":",
        "2606:",
        "2606:2800:",
        "eyJ",
        "eyJaaaaaaaaaa.",
        "sk-",
        "xoxb-",
        "-----BEGIN PRIVATE KEY-----",
        "secret aws_",
    ),
    *("-----BEGIN PRIVATE KEY----- " + "A" * 40 + " ", "[PHONE]", "a" * 64 + "@", "\n", " "),
)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: str(vector["what"]))
def test_golden(vector: dict[str, Any]) -> None:
    replaced = replace_personal_data("".join(vector["text"]), KINDS)
    assert replaced.text == vector["replaced"]
    assert {kind: count for kind, count in replaced.counts.items() if count} == vector["counts"]


@settings(max_examples=1500)
@given(st.one_of(GLUED, NUMERIC, st.text()), SOME_KINDS)
def test_replacing_twice_changes_nothing(text: str, kinds: tuple[Kind, ...]) -> None:
    once = replace_personal_data(text, kinds).text
    assert replace_personal_data(once, kinds).text == once


@settings(max_examples=500)
@given(st.one_of(GLUED, NUMERIC), SOME_KINDS)
def test_only_what_was_found_changes(text: str, kinds: tuple[Kind, ...]) -> None:
    expected, end = "", 0
    for found in find_personal_data(text):
        assert end <= found.start < found.end, "finds overlap"
        stands = PLACEHOLDERS[found.kind] if found.kind in kinds else text[found.start : found.end]
        expected, end = expected + text[end : found.start] + stands, found.end
    assert replace_personal_data(text, kinds).text == expected + text[end:]


@settings(max_examples=500)
@given(st.one_of(GLUED, NUMERIC))
def test_nothing_is_found_within_a_word(text: str) -> None:
    for found in find_personal_data(text):
        for place in (found.start, found.end):
            inside = text[max(0, place - 1) : place + 1]
            assert not (len(inside) == 2 and inside.isascii() and inside.isalnum()), inside


@given(st.text(alphabet=st.characters(exclude_characters="0123456789@_-")))
def test_a_text_without_numbers_and_at_signs_stays(text: str) -> None:
    replaced = replace_personal_data(text, KINDS)
    assert replaced.text == text
    assert not any(replaced.counts.values())


@pytest.mark.parametrize("unit", HOSTILE, ids=lambda unit: repr(unit[:24]))
def test_hostile_text_takes_time_in_proportion_to_its_length(unit: str) -> None:
    text = (unit * (300_000 // len(unit) + 1))[:300_000]
    start = time.process_time()
    replace_personal_data(text, KINDS)
    assert time.process_time() - start < 2.0  # 0.25 where it is slowest; at a quadratic cost it would be minutes


def test_all_kinds_are_counted_whichever_are_replaced() -> None:
    text = "post@tolvane.de, +44 20 7946 0958"
    replaced = replace_personal_data(text, ("emails",))
    assert replaced.text == "[EMAIL], +44 20 7946 0958"
    assert replaced.counts == dict.fromkeys(KINDS, 0) | {"emails": 1, "phone_numbers": 1}


def test_a_document_goes_above_the_most_it_may_hold() -> None:
    documents = pa.table({"text": ["a@tolvane.de b@tolvane.de +44 20 7946 0958"]})

    def goes(config: PersonalDataConfig) -> bool:
        return any(fails[0] for fails in PersonalDataCheck(config).check(documents).failing.values())

    assert not goes(PersonalDataConfig(replace=("emails", "emails"), max_per_document=2))
    assert goes(PersonalDataConfig(replace=("emails", "phone_numbers"), max_per_document=2))
    assert not goes(PersonalDataConfig(replace=KINDS))


def test_the_default_is_fineweb_s_and_unknown_kinds_are_refused() -> None:
    assert PersonalDataConfig().replace == ("emails", "ip_addresses")
    with pytest.raises(ValidationError, match="replace"):
        PersonalDataConfig.model_validate({"replace": ["names"]})
