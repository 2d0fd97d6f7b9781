"""The filter on a single document, where a test is about one text or one set of signals."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import ge, gt, le, lt
from typing import Any

import pyarrow as pa

from tasks.dataset.rules import Rule, apply_rules, reasons_column
from tasks.dataset.schemas import DOCUMENTS
from tasks.filter.config import SCORE_TOLERANCE, FilterConfig, filter_rules, published_rules
from tasks.filter.filter import filter_documents
from tasks.filter.profiles import SIGNALS
from tasks.filter.stop_word_lists import StopWords


@dataclass(frozen=True)
class Filtered:
    """What the filter makes of one document."""

    reasons: list[str]
    text: str | None
    """The text that goes on; None where the document is removed."""
    decision: dict[str, Any]

    @property
    def kept(self) -> bool:
        return not self.reasons


def filter_text(
    text: str, language: str, score: float, config: FilterConfig, stop_words: StopWords | None = None
) -> Filtered:
    """Filter one document."""
    row = {"id": "W:1", "text": text, "language": language, "language_score": score}
    output = filter_documents(pa.Table.from_pylist([row], DOCUMENTS), config, stop_words)
    assert output.rows is not None and output.decisions is not None
    (decision,) = output.decisions.to_pylist()
    kept = output.rows["text"].to_pylist()
    assert decision["kept"] == bool(kept) == (not decision["reasons"])
    return Filtered(decision["reasons"], kept[0] if kept else None, decision)


def reasons_of(signals: Mapping[str, float], language: str, score: float, config: FilterConfig) -> list[str]:
    """The rules that a document with these signals fails."""
    columns = {name: pa.array([signals[name]], kind, safe=False) for name, kind in SIGNALS.items()}
    table = pa.table({**columns, "language": [language], "language_score": pa.array([score], pa.float32())})
    (reasons,) = reasons_column(apply_rules(filter_rules(config), table), 1).to_pylist()
    return list(reasons)


def fails(rule: Rule, signal: str, *values: float) -> list[bool]:
    """Whether a document fails `rule`, for each of these values of the signal."""
    return rule.failing(pa.table({signal: pa.array(values, pa.float64())})).tolist()


_COMPARE: dict[str, Callable[[float, float], bool]] = {"<": lt, "<=": le, ">": gt, ">=": ge}


def slow_reasons(row: Mapping[str, Any], config: FilterConfig) -> list[str]:
    """The rules read slowly, for one document."""
    language, reasons = row["language"], []
    if config.languages and language not in config.languages:
        reasons.append("language")
    if row["language_score"] < config.min_language_score - SCORE_TOLERANCE:
        reasons.append("language_score")
    for rule in published_rules(config.profiles):
        general = config.thresholds.get(rule.name, rule.limit)
        limit = config.language_thresholds.get(language, {}).get(rule.name, general)
        if _COMPARE[rule.comparison](row[rule.signal], limit):
            reasons.append(rule.name)
    return reasons
