"""Deciding again on stored decisions: as the filter itself would, and nothing read that need not be."""

from random import Random
from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.what_if.reevaluation import Reevaluation
from tasks.dataset.rules import Threshold, passing, reasons_column, stored_reasons
from tasks.filter.config import FilterConfig, filter_rules, published_rules
from tasks.filter.filter import DECISIONS
from tasks.filter.profiles import PROFILES, SIGNALS
from tests.tasks.filter.one_document import slow_reasons

RULES = [rule for profile in PROFILES.values() for rule in profile]
LIMITS = sorted({rule.limit for rule in RULES})
NUMBERS = st.sampled_from(LIMITS) | st.floats(0, 200)


@st.composite
def documents(draw: st.DrawFn) -> list[dict[str, Any]]:
    """What was measured of some documents, as Parquet gives it back; half of it is a threshold, where strictness shows.

    Drawn by a seed, for there are so many signals that drawing each would take minutes.
    """
    chance = Random(draw(st.integers(0, 1 << 32)))
    rows = []
    for _ in range(draw(st.integers(0, 8))):
        row: dict[str, Any] = {}
        for name, kind in SIGNALS.items():
            value = chance.choice([chance.choice(LIMITS), chance.uniform(0, 1), chance.uniform(0, 200)])
            row[name] = value if kind == pa.float64() else round(value)
        score = chance.choice([0.65, 0.6499999, 0.9, chance.random()])
        rows.append(row | {"language": chance.choice(["en", "de", "un"]), "language_score": score})
    return pa.Table.from_pylist(rows, _signals()).to_pylist()


@st.composite
def configs(draw: st.DrawFn) -> FilterConfig:
    """Any profiles, languages and thresholds."""
    profiles = tuple(draw(st.lists(st.sampled_from(sorted(PROFILES)), unique=True, max_size=3)))
    names = [rule.name for rule in published_rules(profiles)]
    thresholds = st.dictionaries(st.sampled_from(names), NUMBERS, max_size=4)
    return FilterConfig(
        profiles=profiles,
        languages=tuple(draw(st.lists(st.sampled_from(["en", "de", "fr"]), unique=True, max_size=2))),
        min_language_score=draw(st.sampled_from([0.0, 0.65, 0.9])),
        thresholds=draw(thresholds) if names else {},
        language_thresholds=draw(st.dictionaries(st.sampled_from(["en", "de"]), thresholds)) if names else {},
    )


def _signals() -> pa.Schema:
    return pa.schema([field for field in DECISIONS if field.name not in ("id", "stage", "kept", "reasons")])


def _decided(rows: list[dict[str, Any]], config: FilterConfig) -> list[list[str]]:
    return [slow_reasons(row, config) for row in rows]


def _decisions(rows: list[dict[str, Any]], config: FilterConfig) -> pa.Table:
    reasons = pa.array(_decided(rows, config), pa.list_(pa.string()))
    return pa.Table.from_pylist(rows, _signals()).append_column("reasons", reasons)


def _in_rows(failing: dict[str, Any], documents: int) -> list[list[str]]:
    return [[name for name, who in failing.items() if who[row]] for row in range(documents)]


@settings(max_examples=150)
@given(documents(), configs(), configs())
def test_deciding_on_columns_is_deciding_on_each_document(
    rows: list[dict[str, Any]], before: FilterConfig, after: FilterConfig
) -> None:
    decisions = _decisions(rows, before)
    stored = stored_reasons(decisions["reasons"])
    for known in (filter_rules(before), None):
        failing = Reevaluation(known, filter_rules(after)).failing(decisions, stored)
        assert _in_rows(failing, len(rows)) == _decided(rows, after)
        assert reasons_column(failing, len(rows)).to_pylist() == _decided(rows, after)
        assert passing(failing.values(), len(rows)).tolist() == [not reasons for reasons in _decided(rows, after)]


def test_what_has_not_changed_is_not_read() -> None:
    before = FilterConfig()
    assert Reevaluation(filter_rules(before), filter_rules(before)).columns == ("reasons",)
    laxer = FilterConfig(thresholds={"gopher_min_words": 20})
    assert Reevaluation(filter_rules(before), filter_rules(laxer)).columns == ("reasons", "words")
    named = FilterConfig(thresholds={"gopher_min_words": 50})  # the published one, said aloud
    assert Reevaluation(filter_rules(before), filter_rules(named)).columns == ("reasons",)
    german = FilterConfig(language_thresholds={"de": {"gopher_min_words": 20}})
    assert Reevaluation(filter_rules(before), filter_rules(german)).columns == ("reasons", "words", "language")


def test_reasons_that_no_rule_gives_stay() -> None:
    decisions = pa.table({"reasons": [["copy"], ["low", "copy"], ["low"], []], "score": pa.array([9, 1, 2, 3])})
    stored = stored_reasons(decisions["reasons"])
    low = [Threshold("low", "score", "<", 3)]
    higher = Reevaluation(low, [Threshold("low", "score", "<", 4)]).failing(decisions, stored)
    assert _in_rows(higher, 4) == [["copy"], ["low", "copy"], ["low"], ["low"]]
    without = Reevaluation(low, []).failing(decisions, stored)
    assert _in_rows(without, 4) == [["copy"], ["copy"], [], []]
