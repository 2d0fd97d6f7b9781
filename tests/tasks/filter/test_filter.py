"""Profiles and rules: golden vectors for every rule, strictness at each threshold, what a threshold must never do."""

import json
import math
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tasks.dataset.rules import Threshold
from tasks.filter.config import FilterConfig, published_rules
from tasks.filter.measure import measure
from tasks.filter.profiles import PROFILES, SIGNALS, ProfileName
from tasks.filter.stop_word_lists import parse_stop_words
from tests.golden.make_filter_vectors import PAGE as GOOD
from tests.tasks.filter.one_document import fails, filter_text, reasons_of

VECTORS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[2] / "golden" / "filter_vectors.json").read_text(encoding="utf-8")
)
RULES = {rule.name: rule for profile in PROFILES.values() for rule in profile}
ANY_LANGUAGE: dict[str, Any] = {"languages": (), "min_language_score": 0.0}


def config(profile: ProfileName, **changes: Any) -> FilterConfig:
    return FilterConfig(profiles=(profile,), **(ANY_LANGUAGE | changes))


@pytest.mark.parametrize("vector", VECTORS, ids=[f"{vector['rule']}-{vector['k']}" for vector in VECTORS])
def test_signals_and_reasons_are_the_frozen_ones(vector: dict[str, Any]) -> None:
    text = "".join(string * count for string, count in vector["text"])
    assert measure(text, "en", config("fineweb")).signals == vector["signals"]
    profiles: tuple[ProfileName, ...] = ("fineweb", "datatrove", "fineweb2", "dclm", "structured")
    for profile in profiles:
        assert reasons_of(vector["signals"], "en", 1.0, config(profile)) == vector["reasons"][profile]


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_the_vectors_hold_a_text_on_each_side_of_every_rule(rule: Threshold) -> None:
    values = [vector["signals"][rule.signal] for vector in VECTORS if vector["rule"] == rule.name]
    assert set(fails(rule, rule.signal, *values)) == {True, False}


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_a_rule_is_strict_where_its_source_is(rule: Threshold) -> None:
    below, above = math.nextafter(rule.limit, -1e9), math.nextafter(rule.limit, 1e9)
    assert (
        fails(rule, rule.signal, below, rule.limit, above)
        == {
            "<": [True, False, False],
            "<=": [True, True, False],
            ">": [False, False, True],
            ">=": [False, True, True],
        }[rule.comparison]
    )


def test_thresholds_are_the_published_ones() -> None:
    published = {
        "gopher_duplicate_paragraphs": (">", 0.30),
        "gopher_duplicate_paragraph_chars": (">", 0.20),
        "gopher_duplicate_all_lines": (">", 0.30),
        "gopher_duplicate_all_line_chars": (">", 0.20),
        "gopher_top_2_gram": (">", 0.20),
        "gopher_top_3_gram": (">", 0.18),
        "gopher_top_4_gram": (">", 0.16),
        **{f"gopher_duplicate_{n}_gram": (">", (20 - n) / 100) for n in range(5, 11)},
        "gopher_min_words": ("<", 50),
        "gopher_max_words": (">", 100_000),
        "gopher_min_mean_word_length": ("<", 3),
        "gopher_max_mean_word_length": (">", 10),
        "gopher_hashes": (">", 0.1),
        "gopher_ellipses": (">", 0.1),
        "gopher_bullet_lines": (">", 0.9),
        "gopher_ellipsis_lines": (">", 0.3),
        "gopher_alpha_words": ("<", 0.8),
        "gopher_stop_word_occurrences": ("<", 2),
        "c4_lorem_ipsum": (">", 0),
        "c4_curly_bracket": (">", 0),
        "c4_sentences": ("<", 5),
        "fineweb_terminal_lines": ("<=", 0.12),
        "fineweb_short_lines": (">=", 0.67),
        "fineweb_duplicate_line_chars": (">=", 0.01),
        "fineweb_newlines": (">", 0.3),
    }
    assert {rule.name: (rule.comparison, rule.limit) for rule in PROFILES["fineweb"]} == published


def test_the_dclm_profile_has_the_thresholds_of_its_configuration() -> None:
    published = {
        "dclm_min_words": ("<", 50),
        "dclm_max_words": (">", 100_000),
        "dclm_min_mean_word_length": ("<", 3),
        "dclm_max_mean_word_length": (">", 10),
        "dclm_symbols": (">", 0.1),
        "dclm_bullet_lines": (">", 0.9),
        "dclm_ellipsis_lines": (">", 0.3),
        "dclm_non_alpha_words": (">", 0.2),
        "dclm_stop_word_occurrences": ("<", 2),
        "dclm_duplicate_lines": (">", 0.3),
        "dclm_duplicate_paragraphs": (">", 0.3),
        "dclm_duplicate_line_chars": (">", 0.2),
        "dclm_duplicate_paragraph_chars": (">", 0.2),
        "dclm_top_2_gram": (">", 0.20),
        "dclm_top_3_gram": (">", 0.18),
        "dclm_top_4_gram": (">", 0.16),
        **{f"dclm_duplicate_{n}_gram": (">", (20 - n) / 100) for n in range(5, 11)},
        "dclm_removed_words": (">", 0.05),
    }
    assert {rule.name: (rule.comparison, rule.limit) for rule in PROFILES["dclm"]} == published


def test_fineweb2_leaves_out_paragraphs_short_lines_and_c4() -> None:
    names = {rule.name for rule in PROFILES["fineweb2"]}
    assert {rule.name for rule in PROFILES["gopher"]} - names == {
        "gopher_duplicate_paragraphs",
        "gopher_duplicate_paragraph_chars",
        "gopher_duplicate_line_chars",
    }
    own = {rule.name: (rule.comparison, rule.limit) for rule in PROFILES["fineweb2"] if "fineweb2" in rule.name}
    assert own == {
        "fineweb2_sentence_lines": ("<", 0.12),
        "fineweb2_duplicate_line_chars": (">", 0.1),
        "fineweb2_newlines": (">", 0.3),
    }


def test_a_good_page_passes_every_profile() -> None:
    for profile in PROFILES:
        filtered = filter_text(GOOD, "en", 0.99, config(profile))
        assert filtered.kept, (profile, filtered.reasons)


def test_all_failed_rules_are_named_and_none_hides_another() -> None:
    filtered = filter_text("{ lorem ipsum } ...", "de", 0.3, FilterConfig())
    assert filtered.reasons[:2] == ["language", "language_score"]
    assert {"gopher_min_words", "gopher_ellipses", "c4_lorem_ipsum", "c4_curly_bracket"} <= set(filtered.reasons)
    assert not filtered.kept


def test_fineweb_signals_stand_on_the_cleaned_text_and_gopher_s_on_the_whole() -> None:
    text = GOOD + "\nMenu\nHome\nMenu\nHome"
    signals = measure(text, "en", config("gopher")).signals
    assert signals["fineweb_duplicate_line_chars_ratio"] == 0
    assert signals["duplicate_lines_ratio"] == 2 / 14


def test_a_document_goes_on_cleaned_only_where_a_profile_cleans_and_it_is_wanted() -> None:
    text = GOOD + "\nMenu"
    for cleaning in ("c4", "fineweb", "datatrove", "dclm"):
        assert measure(text, "en", config(cleaning)).text_after == GOOD
        assert measure(text, "en", config(cleaning, clean_lines=False)).text_after == text
    for profile in ("gopher", "fineweb2"):
        assert measure(text, "en", config(profile)).text_after == text


def test_two_cleanings_follow_each_other_in_the_order_of_the_profiles() -> None:
    text = GOOD + "\nSEE THE MENU [1]\nsee [2]\nsee b.com it"
    both = [
        measure(text, "en", FilterConfig(profiles=profiles)).text_after for profiles in (("c4", "dclm"), ("dclm", "c4"))
    ]
    assert both == [GOOD + "\nsee it", GOOD]


def test_signals_are_the_same_under_every_config_and_come_in_column_order() -> None:
    measured = [measure(GOOD, "en", config(profile)).signals for profile in PROFILES]
    assert all(signals == measured[0] for signals in measured)
    assert list(measured[0]) == list(SIGNALS)


def test_a_decision_from_stored_signals_is_the_decision_from_the_text() -> None:
    for vector in VECTORS:
        columns = {name: pa.array([vector["signals"][name]], kind, safe=False) for name, kind in SIGNALS.items()}
        stored = pa.table(columns).to_pylist()[0]
        score = pa.array([0.65], pa.float32())[0].as_py()
        strict = FilterConfig(min_language_score=0.65)
        assert reasons_of(stored, "en", score, strict) == vector["reasons"]["fineweb"]


def test_a_threshold_of_the_config_takes_the_place_of_the_published_one() -> None:
    signals = measure(GOOD, "en", FilterConfig()).signals
    assert reasons_of(signals, "en", 1.0, FilterConfig(thresholds={"gopher_min_words": 1000})) == ["gopher_min_words"]


def test_a_threshold_for_a_language_holds_for_its_documents_only_and_before_the_general_one() -> None:
    signals = measure(GOOD, "en", FilterConfig()).signals
    both = config(
        "fineweb", thresholds={"gopher_min_words": 1000}, language_thresholds={"de": {"gopher_min_words": 10}}
    )
    assert reasons_of(signals, "en", 1.0, both) == ["gopher_min_words"]
    assert reasons_of(signals, "de", 1.0, both) == []
    one = config("fineweb", language_thresholds={"de": {"gopher_max_mean_word_length": 4}})
    assert reasons_of(signals, "de", 1.0, one) == ["gopher_max_mean_word_length"]
    assert reasons_of(signals, "nl", 1.0, one) == []


@pytest.mark.parametrize("given", [{"de": {"gopher_min_word": 1.0}}, {"german": {}}, {"DE": {}}])
def test_thresholds_for_a_language_name_rules_and_language_codes(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="language_thresholds"):
        config("fineweb", language_thresholds=given)


def test_a_document_is_held_to_the_stop_words_of_its_language() -> None:
    german = "Der Hafen und das Boot"
    assert measure(german, "de", FilterConfig()).signals["stop_words"] == 2  # und, das
    assert measure(german, "en", FilterConfig()).signals["stop_words"] == 0
    own = parse_stop_words(b"de: Hafen Boot Der", "mine.yaml")
    assert measure(german, "de", FilterConfig(), own).signals["stop_word_occurrences"] == 3


@pytest.mark.parametrize(
    ("profile", "name", "nearest"),
    [("fineweb", "gopher_min_word", "gopher_min_words"), ("c4", "gopher_min_words", "c4_"), ("gopher", "", "gopher_")],
)
def test_a_threshold_for_no_chosen_rule_is_refused_with_the_nearest_name(
    profile: ProfileName, name: str, nearest: str
) -> None:
    with pytest.raises(ValidationError, match=f"nearest name is .{nearest}"):
        config(profile, thresholds={name: 1.0})


def test_profiles_together_hold_each_rule_once() -> None:
    names = [rule.name for rule in published_rules(("fineweb", "gopher", "c4"))]
    assert len(names) == len(set(names))
    assert {rule.name for rule in PROFILES["gopher"]} <= set(names)


def test_no_languages_named_keeps_every_language() -> None:
    signals = measure(GOOD, "en", FilterConfig()).signals
    assert reasons_of(signals, "de", 0.9, FilterConfig()) == ["language"]
    assert reasons_of(signals, "de", 0.9, FilterConfig(languages=())) == []
    assert reasons_of(signals, "en", 0.64, FilterConfig(languages=())) == ["language_score"]


@settings(max_examples=60)
@given(st.text(max_size=200))
def test_any_text_can_be_filtered(text: str) -> None:
    first = filter_text(text, "en", 0.9, FilterConfig())
    assert first == filter_text(text, "en", 0.9, FilterConfig())
    assert all(math.isfinite(first.decision[name]) and first.decision[name] >= 0 for name in SIGNALS)


SIGNAL_VALUES = st.fixed_dictionaries({name: st.floats(0, 200) for name in SIGNALS})


@settings(max_examples=60)
@given(SIGNAL_VALUES, st.sampled_from(sorted(rule.name for rule in PROFILES["fineweb"])), st.floats(0, 200))
def test_a_laxer_threshold_never_adds_a_reason(signals: dict[str, float], name: str, threshold: float) -> None:
    rule = RULES[name]
    laxer = max(threshold, rule.limit) if rule.comparison.startswith(">") else min(threshold, rule.limit)
    before = reasons_of(signals, "en", 1.0, FilterConfig())
    after = reasons_of(signals, "en", 1.0, FilterConfig(thresholds={name: laxer}))
    assert set(after) <= set(before)
    assert set(before) - set(after) <= {name}
