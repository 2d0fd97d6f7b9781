"""Rules that know structure: what is prose in Markdown, and that only prose is held to FineWeb's rules."""

from typing import Any

import pytest

from tasks.filter.config import FilterConfig
from tasks.filter.profiles import SIGNALS
from tasks.filter.prose import prose_of
from tasks.filter.rules.structured import remove_notices
from tests.golden.make_filter_vectors import LINES, PAGE
from tests.tasks.filter.one_document import filter_text

ANY_LANGUAGE: dict[str, Any] = {"languages": (), "min_language_score": 0.0}
STRUCTURED = FilterConfig(profiles=("structured",), **ANY_LANGUAGE)
FINEWEB = FilterConfig(profiles=("fineweb",), **ANY_LANGUAGE)
MARKDOWN = "\n\n".join(LINES)
CODE = "```c\n" + "int main() { return 0; }\n" * 20 + "```"
TABLE = "| Day | Depth |\n| --- | --- |\n" + "\n".join(f"| {day} | {day * 3} |" for day in range(60))


@pytest.mark.parametrize(
    ("text", "prose"),
    [
        ("# Tide\n\nThe sea rises.", "The sea rises."),
        ("- one\n- two", "one\ntwo"),
        ("3. one\n   - two", "one\ntwo"),
        ("> The sea.\n>\n> It rises.", "The sea.\nIt rises."),
        ("Call `tide({})` now.", "Call tide() now."),
        ("A height of $h=3t$ and \\(h=5t\\), at $5 to $7.", "A height of  and , at $5 to $7."),
        ("$$h=3t$$", ""),
        ("| a | b |\n| --- | --- |", ""),
        ("```\na { b }\n```\nThe sea.", "The sea."),
        ("````\n```\n````\nThe sea.", "The sea."),
        ("- one\n  ```\n  a { b }\n  ```", "one"),
        ("```\nnever closed", ""),
        ("\\# no heading", "# no heading"),
    ],
)
def test_what_is_prose(text: str, prose: str) -> None:
    assert prose_of(text).text == prose


@pytest.mark.parametrize("addition", [CODE, TABLE, "# Tide\n\n" * 9, "$$h=\\frac{a}{b}$$"])
def test_code_tables_headings_and_formulas_break_no_rule(addition: str) -> None:
    assert filter_text(f"{MARKDOWN}\n\n{addition}", "en", 1.0, STRUCTURED).reasons == []
    assert filter_text(f"{MARKDOWN}\n\n{addition}", "en", 1.0, FINEWEB).reasons != []


def test_prose_is_held_to_the_rules() -> None:
    items = "\n".join(f"- herring {number} and salt" for number in range(200))
    assert "prose_gopher_bullet_lines" in filter_text(items, "en", 1.0, STRUCTURED).reasons
    assert "prose_c4_curly_bracket" in filter_text(f"{MARKDOWN} {{", "en", 1.0, STRUCTURED).reasons
    assert "prose_c4_sentences" in filter_text(f"{LINES[0]}\n\n{CODE}", "en", 1.0, STRUCTURED).reasons


def test_a_plain_text_has_the_same_signals_both_ways() -> None:
    decision = filter_text(PAGE, "en", 1.0, STRUCTURED).decision
    over_prose = [name for name in SIGNALS if name.startswith("prose_")]
    assert len(over_prose) > 20
    assert {name: decision[name] for name in over_prose} == {
        name: decision[name.removeprefix("prose_")] for name in over_prose
    }


def test_cleaning_takes_notices_out_of_the_prose_and_leaves_code_and_short_lines() -> None:
    text = (
        "# Tide[edit]\n\nRises.[3]\n\nPlease enable JavaScript.\n\nJavaScript has closures.\n\n"
        "Read our privacy policy.\n\n```js\n// enable javascript [3]\n\n\nf()\n```"
    )
    assert remove_notices(text) == (
        "# Tide\n\nRises.\n\nJavaScript has closures.\n\n```js\n// enable javascript [3]\n\n\nf()\n```"
    )
    assert filter_text(MARKDOWN, "en", 1.0, STRUCTURED).text == MARKDOWN
