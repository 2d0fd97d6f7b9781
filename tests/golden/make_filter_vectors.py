"""Writes filter_vectors.json: for each rule, texts just below, at and just above its threshold, with all their signals.

Run as `python -m tests.golden.make_filter_vectors` from the repository's root, and only when a rule's meaning changes
on purpose: the file is what shows that it did not change by accident.

Notable: a text is kept as [[string, repetitions], ...]. For each rule a family of texts grows by one parameter; frozen
are its members on both sides of where the decision changes.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tasks.dataset.rules import Threshold
from tasks.filter.config import FilterConfig
from tasks.filter.measure import measure
from tasks.filter.profiles import PROFILES
from tests.tasks.filter.one_document import fails, reasons_of

Parts = list[tuple[str, int]]
Family = Callable[[int], Parts]

LINES = (
    "The harbour of Tolvane lies where the river Esk meets the grey water of the northern sound.",
    "Its oldest quay was built by a guild of salt merchants, and it still carries their mark.",
    "Every spring the boats come back with herring, and the whole town gathers to count them.",
    "Visitors who arrive by train should walk along the wall to see the seven painted towers.",
    "A bell rings at noon; nobody remembers why, but the children stop whatever they play with.",
    "In winter the ice can be thick enough to carry carts, horses and a small travelling market.",
    "The museum keeps a map that shows how far the old forest once reached into the valley.",
    "Bread is baked with caraway here, which the bakers say they have learned from the hill people.",
    "Two ferries cross the sound each day, and both of them are painted in the same dark green.",
    "Nothing in the archive explains who drew the plan of the lower town or when it was made.",
)
PAGE = "\n".join(LINES)
WORDS = " ".join(LINES).split(" ")
NO_STOP_WORDS = (
    "Grey ferries cross northern waters daily while many bakers sell caraway bread near old painted towers. " * 4
)
COLOURS = ("red", "blue", "green", "white", "black", "brown", "grey", "pink", "gold", "teal")


def page_and(addition: str, separator: str = " ") -> Family:
    """The page, then `addition` k times."""
    return lambda k: [(PAGE, 1), (separator + addition, k)]


def page_and_phrase(n_words: int) -> Family:
    """The page, then k times a phrase of so many words, each time after a word that occurs once."""
    phrase = " ".join(COLOURS[:n_words])
    return lambda k: [(PAGE + "".join(f" {phrase} unlike{i}" for i in range(k)), 1)]


def numbered(count: int, ending: str) -> str:
    """Different lines that end so."""
    return "\n".join(f"On day {i} a boat came into the harbour with herring and salt{ending}" for i in range(count))


NUMBERED = numbered(17, ".").split("\n")

FAMILIES: dict[str, Family] = {
    "gopher_duplicate_paragraphs": lambda k: [("\n\n".join((*LINES[:7], *LINES[:k])), 1)],
    "gopher_duplicate_paragraph_chars": lambda k: [("\n\n".join((PAGE, PAGE[: 20 * k], PAGE[: 20 * k])), 1)],
    "gopher_duplicate_lines": lambda k: [("\n".join((*LINES[:7], *LINES[:k])), 1)],
    "gopher_duplicate_line_chars": lambda k: [("\n".join((*LINES, LINES[0] * k, LINES[0] * k)), 1)],
    "gopher_duplicate_all_lines": lambda k: [("\n".join(LINES), 1), ("\n", k)],
    "gopher_duplicate_all_line_chars": lambda k: [("\n".join((*LINES, LINES[0] * k, LINES[0] * k)), 1)],
    "gopher_top_2_gram": page_and("cold wind"),
    "gopher_top_3_gram": page_and("cold wind blows"),
    "gopher_top_4_gram": page_and("cold wind blows hard"),
    **{f"gopher_duplicate_{n}_gram": page_and_phrase(n) for n in range(5, 11)},
    "gopher_min_words": lambda k: [(" ".join(WORDS[:k]), 1)],
    "gopher_max_words": lambda k: [(PAGE, 1), (" herring", 99_800 + k)],
    "gopher_min_mean_word_length": page_and("a"),
    "gopher_max_mean_word_length": page_and("Tolvanerbrueckenstrassenbahnhof"),
    "gopher_hashes": page_and("#"),
    "gopher_ellipses": page_and("…"),
    "gopher_bullet_lines": lambda k: [(LINES[0], 1), ("\n- herring and salt", k)],
    "gopher_ellipsis_lines": lambda k: [("\n".join(LINES[:7]), 1), ("\nand so it went on...", k)],
    "gopher_alpha_words": page_and("12"),
    "gopher_stop_words": lambda k: [(NO_STOP_WORDS, 1), ("the ", 5), ("of ", k)],
    "gopher_stop_word_occurrences": lambda k: [(NO_STOP_WORDS, 1), ("the ", k)],
    "c4_lorem_ipsum": page_and("Here stands Lorem Ipsum again.", "\n"),
    "c4_curly_bracket": page_and("Here stands a { and no more.", "\n"),
    "c4_sentences": lambda k: [("\n".join(LINES[:k]), 1)],
    "fineweb_terminal_lines": lambda k: [(numbered(22, ""), 1), ('\nHe said "no" to it."', k)],
    "fineweb_short_lines": lambda k: [(numbered(33, "."), 1), ("\nA short line here.", k)],
    "fineweb_duplicate_line_chars": lambda k: [(numbered(90, "."), 1), ("\n" + "x" * k + " and so on.", 2)],
    "fineweb_newlines": lambda k: [(LINES[0], 1), ("\nAll is well", k)],
    "datatrove_sentence_lines": lambda k: [(numbered(22, '"'), 1), ("\nHe said no to it.", k)],
    "datatrove_short_lines": lambda k: [(numbered(33, "."), 1), ("\nA short line here.", k)],
    "datatrove_duplicate_line_chars": lambda k: [(numbered(90, "."), 1), ("\n" + "x" * k + " and so on.", 2)],
    "datatrove_newlines": lambda k: [(LINES[0], 1), ("\nAll is well", k)],
    "fineweb2_sentence_lines": lambda k: [(numbered(22, '"'), 1), ("\nHe said no to it.", k)],
    "fineweb2_duplicate_line_chars": lambda k: [(numbered(10, "."), 1), ("\n" + "x" * k + " and so on.", 2)],
    "fineweb2_newlines": lambda k: [(LINES[0], 1), ("\nAll is well", k)],
    "dclm_min_words": lambda k: [(" ".join(WORDS[:k]), 1)],
    "dclm_max_words": lambda k: [(PAGE, 1), (" herring", 99_800 + k)],
    "dclm_min_mean_word_length": page_and("a"),
    "dclm_max_mean_word_length": page_and("Tolvanerbrueckenstrassenbahnhof"),
    "dclm_symbols": page_and("#"),
    "dclm_bullet_lines": lambda k: [(LINES[0], 1), ("\n- herring and salt", k)],
    "dclm_ellipsis_lines": lambda k: [("\n".join(LINES[:7]), 1), ("\nand so it went on...", k)],
    "dclm_non_alpha_words": page_and("12"),
    "dclm_stop_word_occurrences": lambda k: [(NO_STOP_WORDS, 1), ("THE ", k)],
    "dclm_duplicate_lines": lambda k: [("\n".join((*NUMBERED, *NUMBERED[:k])), 1)],
    "dclm_duplicate_paragraphs": lambda k: [("\n\n".join((*NUMBERED, *NUMBERED[:k])), 1)],
    "dclm_duplicate_line_chars": lambda k: [("\n".join((*LINES, PAGE[: 10 * k], PAGE[: 10 * k])), 1)],
    "dclm_duplicate_paragraph_chars": lambda k: [("\n\n".join((*LINES, PAGE[: 10 * k], PAGE[: 10 * k])), 1)],
    "dclm_top_2_gram": page_and("cold wind"),
    "dclm_top_3_gram": page_and("cold wind blows"),
    "dclm_top_4_gram": page_and("cold wind blows hard"),
    **{f"dclm_duplicate_{n}_gram": page_and_phrase(n) for n in range(5, 11)},
    "dclm_removed_words": lambda k: [(" ".join(WORDS[:95]), 1), ("\nMenu", k)],
}
"""For each rule a text that grows with k; a rule over the prose has that of the rule over the whole text."""
FAMILIES |= {f"prose_{name}": family for name, family in FAMILIES.items()} | {
    "prose_gopher_hashes": page_and("C#"),
    "prose_fineweb_duplicate_line_chars": lambda k: [(numbered(20, "."), 1), ("\n" + "x" * k + " and so on.", 2)],
}

MAX_PARAMETER = 400
CONFIGS = {
    name: FilterConfig(profiles=(name,), languages=(), min_language_score=0)
    for name in ("fineweb", "datatrove", "fineweb2", "dclm", "structured")
}


def build_text(parts: list[Any]) -> str:
    """The text of a vector."""
    return "".join(string * count for string, count in parts)


def vectors_of(rule: Threshold) -> list[dict[str, Any]]:
    """The family's members on both sides of each change of the decision, and the one exactly at the threshold."""
    chosen: list[int] = []
    before: bool | None = None
    for k in range(MAX_PARAMETER):
        signal = measure(build_text(FAMILIES[rule.name](k)), "en", CONFIGS["fineweb"]).signals[rule.signal]
        (now,) = fails(rule, rule.signal, signal)
        if before is not None and now != before:
            chosen += [k - 1, k]
        if signal == rule.limit:
            chosen.append(k)
        before = now
        if len(chosen) >= 2 and k > chosen[1] + 2:
            break
    return [_vector(rule, k) for k in sorted(set(chosen))]


def _vector(rule: Threshold, k: int) -> dict[str, Any]:
    parts = FAMILIES[rule.name](k)
    text = build_text(parts)
    measured = measure(text, "en", CONFIGS["fineweb"])
    reasons = {name: reasons_of(measured.signals, "en", 1.0, config) for name, config in CONFIGS.items()}
    return {"rule": rule.name, "k": k, "text": parts, "signals": measured.signals, "reasons": reasons}


def main() -> None:
    """Write the file beside this one."""
    rules = {rule.name: rule for profile in PROFILES.values() for rule in profile}
    vectors = [vector for rule in rules.values() for vector in vectors_of(rule)]
    for rule in rules.values():
        values = [v["signals"][rule.signal] for v in vectors if v["rule"] == rule.name]
        print(rule.name, rule.comparison, rule.limit, values)
    lines = ",\n".join(json.dumps(vector, ensure_ascii=False) for vector in vectors)
    Path(__file__).with_name("filter_vectors.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main()
