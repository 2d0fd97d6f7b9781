"""Our `datatrove` profile beside datatrove itself: the same texts, filter by filter and rule by rule.

Notable: what may differ is known. Our words and sentences are not spaCy's, and a ratio near its threshold feels it: a
difference counts as explained where our rules come to datatrove's decision once they are given datatrove's words, or
where it hangs on the number of sentences alone. Every difference is printed with its class.
"""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tasks.filter.config import FilterConfig
from tasks.filter.measure import measure
from tasks.filter.profiles import PROFILES
from tasks.filter.rules.gopher_quality import measure_quality
from tasks.filter.rules.gopher_repetition import measure_repetition
from tasks.filter.stop_word_lists import GOPHER_STOP_WORDS
from tasks.filter.text_units import TextUnits
from tasks.filter.words import Words
from tests.bench.data.datatrove_environment import run_in_datatrove
from tests.bench.data.real_texts import english_texts
from tests.tasks.filter.one_document import fails, filter_text

CONFIG = FilterConfig(profiles=("datatrove",), languages=(), min_language_score=0)
SCRIPT = Path(__file__).with_name("datatrove_filters.py")
VECTORS = Path(__file__).parents[2] / "golden" / "filter_vectors.json"
MAX_CHARACTERS = 200_000
"""Longer texts are left out: spaCy takes seconds for each."""

REASONS = {
    "gopher_duplicate_paragraphs": "dup_para_frac",
    "gopher_duplicate_paragraph_chars": "dup_para_char_frac",
    "gopher_duplicate_lines": "dup_line_frac",
    "gopher_duplicate_line_chars": "dup_line_char_frac",
    **{f"gopher_top_{n}_gram": f"top_{n}_gram" for n in (2, 3, 4)},
    **{f"gopher_duplicate_{n}_gram": f"duplicated_{n}_n_grams" for n in range(5, 11)},
    "gopher_min_words": "gopher_short_doc",
    "gopher_max_words": "gopher_long_doc",
    "gopher_min_mean_word_length": "gopher_below_avg_threshold",
    "gopher_max_mean_word_length": "gopher_above_avg_threshold",
    "gopher_hashes": "gopher_too_many_hashes",
    "gopher_ellipses": "gopher_too_many_ellipsis",
    "gopher_bullet_lines": "gopher_too_many_bullets",
    "gopher_ellipsis_lines": "gopher_too_many_end_ellipsis",
    "gopher_alpha_words": "gopher_below_alpha_threshold",
    "gopher_stop_words": "gopher_enough_stop_words",
    "c4_lorem_ipsum": "lorem_ipsum",
    "c4_curly_bracket": "curly_bracket",
    "c4_sentences": "too_few_sentences",
    "datatrove_sentence_lines": "line_punct_ratio",
    "datatrove_short_lines": "short_line_ratio",
    "datatrove_duplicate_line_chars": "char_dup_ratio",
    "datatrove_newlines": "list_ratio",
}
"""What datatrove calls our rules, in the order in which each of its filters asks them."""

FILTERS = {
    "repetition": [name for name in REASONS if name.startswith("gopher") and ("duplicate" in name or "gram" in name)],
    "quality": [name for name in REASONS if name.startswith("gopher") and not ("duplicate" in name or "gram" in name)],
    "c4": [name for name in REASONS if name.startswith("c4")],
    "fineweb": [name for name in REASONS if name.startswith("datatrove")],
}
"""The rules of each filter of datatrove's."""


@dataclass(frozen=True)
class Difference:
    """One filter that says another thing of one text."""

    text: str
    filter: str
    ours: str | None
    theirs: str | None
    kind: str


def golden_texts() -> Iterator[str]:
    """Those that stand on both sides of every threshold."""
    for vector in json.loads(VECTORS.read_text(encoding="utf-8")):
        yield "".join(string * count for string, count in vector["text"])


def first_ours(reasons: list[str], step: str) -> str | None:
    """The first of our reasons that a filter of datatrove's would give, by its name there."""
    return next((REASONS[name] for name in FILTERS[step] if name in reasons), None)


def compare(text: str, theirs: dict[str, Any]) -> list[Difference]:
    """Where we and datatrove differ on one text."""
    filtered = filter_text(text, "en", 1.0, CONFIG)
    found = []
    for step in FILTERS:
        if step not in theirs:
            continue
        ours = first_ours(filtered.reasons, step)
        # Of C4's page rules datatrove names the one whose line comes first, we all that fail.
        same = theirs[step] in {REASONS[name] for name in filtered.reasons} if step == "c4" and ours else False
        if ours != theirs[step] and not same:
            found.append(Difference(text, step, ours, theirs[step], kind_of(text, step, ours, theirs)))
    cleaned = measure(text, "en", CONFIG).text_after
    if theirs["c4"] is None and "c4_sentences" not in filtered.reasons and cleaned != theirs["cleaned"]:
        found.append(Difference(text, "cleaned text", "", "", "unexplained"))
    return found


def kind_of(text: str, step: str, ours: str | None, theirs: dict[str, Any]) -> str:
    """Why a decision differs, as far as is known."""
    if step == "c4" and {ours, theirs["c4"]} <= {None, "too_few_sentences"}:
        return "sentences"
    if step in ("repetition", "quality") and first_with_words(text, step, theirs["words"]) == theirs[step]:
        return "words"
    return "unexplained"


def first_with_words(text: str, step: str, words: list[str]) -> str | None:
    """Our first reason in one of Gopher's filters if the words of `text` were these."""
    units = TextUnits(text)
    vars(units)["_split"] = Words(words, [])
    signals = measure_quality(units, GOPHER_STOP_WORDS) | measure_repetition(units)
    rules = {rule.name: rule for rule in PROFILES["datatrove"]}
    return next(
        (
            REASONS[name]
            for name in FILTERS[step]
            if fails(rules[name], rules[name].signal, signals[rules[name].signal])[0]
        ),
        None,
    )


def test_every_rule_of_the_profile_has_its_name_in_datatrove() -> None:
    assert list(REASONS) == [name for names in FILTERS.values() for name in names]
    assert list(REASONS) == [rule.name for rule in PROFILES["datatrove"]]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_datatrove_profile_decides_as_datatrove_does(capsys: pytest.CaptureFixture[str]) -> None:
    texts = [text for source in (golden_texts(), english_texts()) for text in source if len(text) <= MAX_CHARACTERS]
    theirs = list(run_in_datatrove(SCRIPT, rows=({"text": text} for text in texts)))
    outcomes = Counter(
        (
            filter_text(text, "en", 1.0, CONFIG).kept,
            all(outcome[step] is None for step in FILTERS if step in outcome),
        )
        for text, outcome in zip(texts, theirs, strict=True)
    )
    differences = [each for text, outcome in zip(texts, theirs, strict=True) for each in compare(text, outcome)]
    with capsys.disabled():
        show(texts, outcomes, differences)
        show_rules(texts, theirs)
    assert outcomes[True, True] and outcomes[False, False]
    assert outcomes[True, True] + outcomes[False, False] >= 0.99 * len(texts)
    for step in FILTERS:
        assert sum(difference.filter == step for difference in differences) <= 0.01 * len(texts) + 5
    assert not [difference for difference in differences if difference.kind == "unexplained"]


def show(texts: list[str], outcomes: Counter[tuple[bool, bool]], differences: list[Difference]) -> None:
    """Print how many agree, and every difference by its class."""
    agree = outcomes[True, True] + outcomes[False, False]
    print(
        f"\n{len(texts)} texts; decisions equal on {agree}, {agree / len(texts):.2%}; by (ours, datatrove's): ", end=""
    )
    print(", ".join(f"{'/'.join('kept' if kept else 'dropped' for kept in both)} {n}" for both, n in outcomes.items()))
    same = len(texts) - len({difference.text for difference in differences})
    print(f"every filter's first reason equal on {same}, {same / len(texts):.2%}; else:")
    for (kind, step, ours, theirs), count in Counter((d.kind, d.filter, d.ours, d.theirs) for d in differences).items():
        print(f"  {count:3} {kind}: {step}: ours {ours}, datatrove's {theirs}")


def show_rules(texts: list[str], theirs: list[dict[str, Any]]) -> None:
    """Print how often each rule is a filter's first reason: by ours, by datatrove, by both."""
    counts = {name: [0, 0, 0] for name in REASONS}
    for text, outcome in zip(texts, theirs, strict=True):
        reasons = filter_text(text, "en", 1.0, CONFIG).reasons
        for step, names in FILTERS.items():
            ours = first_ours(reasons, step) if step in outcome else None
            for name in names:
                found = ours == REASONS[name], outcome.get(step) == REASONS[name]
                counts[name] = [n + held for n, held in zip(counts[name], (*found, all(found)), strict=True)]
    print("first reasons: rule, ours, datatrove's, both")
    for name, (mine, others, both) in counts.items():
        print(f"  {name:<34} {mine:4} {others:4} {both:4}")
