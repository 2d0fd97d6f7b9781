"""JSON and YAML from elsewhere: a value, or an error that says what is wrong, and soon."""

import pytest

from tasks.base.plain_data import parse_json, parse_yaml

LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join(f'*{before}' for _ in range(9))}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 200_000, "nested too deeply"),
        ('{"a":' * 200_000, "nested too deeply"),
        ("9" * 5000, "limit"),
        ("{", "Expecting"),
        (b"\xff\xfe[\x00]\x00", "utf-8"),
    ],
)
def test_what_is_no_json_is_an_error(text: str | bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_json(text)


def test_a_byte_order_mark_is_no_part_of_the_text() -> None:
    assert parse_json(b"\xef\xbb\xbf[1]") == parse_json("\ufeff[1]") == [1]


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
