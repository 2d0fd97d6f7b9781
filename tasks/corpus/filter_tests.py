"""The filter's tests over its stored signals: `filtering.judge` for whole columns of documents.

Notable: the verdicts are those of `judge`, document by document; a property test holds one against the other.
"""

from __future__ import annotations

from tasks.corpus.signal_tests import OneOf, SignalTest, Threshold
from tasks.filter.measure_and_judge import SCORE_TOLERANCE, FilterConfig, chosen_rules, threshold_of
from tasks.filter.profiles import Rule

JUDGING_FIELDS = ("profiles", "languages", "min_language_score", "thresholds", "language_thresholds", "clean_lines")
"""Fields of `FilterConfig` that change verdicts, or the text that goes on, but nothing that is measured."""

_NO_LANGUAGE = ""


def filter_tests(config: FilterConfig) -> tuple[SignalTest, ...]:
    """Every test that `judge` makes under `config`, in the order in which it names them."""
    languages = (OneOf("language", "language", config.languages),) if config.languages else ()
    score = Threshold("language_score", "language_score", "<", config.min_language_score - SCORE_TOLERANCE)
    return (*languages, score, *(_test(rule, config) for rule in chosen_rules(config)))


def _test(rule: Rule, config: FilterConfig) -> Threshold:
    limit = threshold_of(rule, _NO_LANGUAGE, config)
    others = ((language, threshold_of(rule, language, config)) for language in sorted(config.language_thresholds))
    return Threshold(
        rule.name, rule.signal, rule.comparison, limit, tuple(other for other in others if other[1] != limit)
    )
