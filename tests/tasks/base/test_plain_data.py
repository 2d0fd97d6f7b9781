"""JSON, JSON Lines and YAML from elsewhere: a value, or an error that says what is wrong, and soon."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.base.plain_data import parse_json, parse_json_lines, parse_yaml

LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join(f'*{before}' for _ in range(9))}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 200_000, "nested too deeply"),
        ('{"a":' * 200_000, "nested too deeply"),
        (r'"\ud800"', "half a surrogate pair"),
        (r'{"a": ["\uDFFF"]}', "half a surrogate pair"),
        (r'{"\ud83d\u0041": 1}', "half a surrogate pair"),
        ("9" * 5000, "limit"),
        ("{", "Expecting"),
        (b"\xff\xfe[\x00]\x00", "utf-8"),
    ],
)
def test_what_is_no_json_is_an_error(text: str | bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_json(text)


def test_pairs_of_surrogates_and_marks_are_read() -> None:
    assert parse_json(r'["\ud83d\ude00", "\\ud800"]') == ["😀", r"\ud800"]
    assert parse_json(b"\xef\xbb\xbf[1]") == parse_json("\ufeff[1]") == [1]


@given(st.lists(st.dictionaries(st.text(), st.text() | st.integers() | st.none()), max_size=5))
def test_lines_end_at_a_line_feed_alone(rows: list[dict[str, object]]) -> None:
    rows = [{"text": "one\u2028two\u2029three\x85four\x0b\x0c\x1c"}, *rows]
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    for data in (text.encode(), b"\xef\xbb\xbf" + text.replace("\n", "\r\n\n").encode(), text.rstrip("\n").encode()):
        assert list(parse_json_lines(data)) == rows


def test_a_bad_line_is_named_or_left_out() -> None:
    data = b'{"a": 1}\n\n{"a": \n{"b": "\xff"}\n{"a": 2}\n{"a'
    with pytest.raises(ValueError, match="line 3: Expecting"):
        list(parse_json_lines(data))
    assert list(parse_json_lines(data, skip_bad=True)) == [{"a": 1}, {"a": 2}]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 2000, "nested too deeply"),
        ("&a [*a]", "holds itself"),
        ("&a {b: *a}", "holds itself"),
        (LAUGHS, "aliases"),
        ("x: 1\n" * 200_000, "more than"),
        ("day: 2026-02-30", "day"),
        ("!!timestamp soon", "NoneType"),
        ("!!bool maybe", "maybe"),
        ("9" * 5000, "limit"),
        ("!!python/object/apply:os.system [x]", "constructor"),
        ("a: [1", "expected"),
    ],
)
def test_what_is_no_yaml_is_an_error(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_yaml(text)


def test_aliases_are_read() -> None:
    assert parse_yaml("a: &a {x: 1}\nb: {<<: *a, y: 2}\nc: [*a, *a]") == {
        "a": {"x": 1},
        "b": {"x": 1, "y": 2},
        "c": [{"x": 1}, {"x": 1}],
    }
