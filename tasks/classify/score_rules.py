"""The rules on classifiers' scores, and the check that applies them to the stored scores."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks.classify.lowest_kept import LowestKept
from tasks.classify.training import ScoreRuleConfig
from tasks.dataset.document_check import CheckResult
from tasks.dataset.rules import Bools, Rule, Threshold, apply_rules


def signal_name(classifier: str) -> str:
    """Return the column of decisions that holds a classifier's score."""
    return f"score_{classifier}"


def reason_name(classifier: str) -> str:
    """Return the reason given where a classifier's score removes a document."""
    return f"classifier_{classifier}"


def scores_schema(classifiers: Iterable[str]) -> pa.Schema:
    """Return the columns of scores: the document's id, and one for each classifier."""
    return pa.schema([("id", pa.string()), *((signal_name(name), pa.float32()) for name in classifiers)])


def score_rules(
    configs: Mapping[str, ScoreRuleConfig], lowest: Mapping[str, LowestKept] | None = None
) -> tuple[Rule, ...]:
    """Return a rule for each classifier; `lowest`: where each share to keep ends, by classifier, as far as known."""
    return tuple(_score_rule(name, config, (lowest or {}).get(name)) for name, config in configs.items())


def _score_rule(name: str, config: ScoreRuleConfig, lowest: LowestKept | None) -> Rule:
    if config.keep_top is not None:
        return KeepTop(name, config.keep_top, lowest)
    if config.max_score is not None:
        return Threshold(reason_name(name), signal_name(name), ">", config.max_score)
    return Threshold(reason_name(name), signal_name(name), "<", config.min_score or 0.0)


@dataclass(frozen=True)
class KeepTop:
    """Fails all but the share of documents with the highest scores; which those are depends on all documents.

    Of the documents with just the lowest score, those with the first ids stay. Where the lowest score is not known,
    this fails none.
    """

    classifier: str
    share: float
    lowest: LowestKept | None = None

    @property
    def name(self) -> str:
        """The reason."""
        return reason_name(self.classifier)

    @property
    def columns(self) -> tuple[str, ...]:
        """The score, and the id where the lowest score is known."""
        return (signal_name(self.classifier), *(("id",) if self.lowest else ()))

    def at(self, score: float) -> Threshold:
        """Return the rule under which this is the lowest score that stays, of all documents that have it."""
        return Threshold(self.name, signal_name(self.classifier), "<", score)

    def failing(self, table: pa.Table) -> Bools:
        """Return which documents fail."""
        if self.lowest is None:
            return np.zeros(table.num_rows, np.bool_)
        fails = self.at(self.lowest.score).failing(table)
        if self.lowest.last_id is None:
            return fails
        ties: Bools = table[signal_name(self.classifier)].cast(pa.float64()).to_numpy() == self.lowest.score
        later: Bools = pc.greater(table["id"], self.lowest.last_id).to_numpy()
        return fails | ties & later

    def explain(self, row: Mapping[str, Any]) -> str:
        """Return e.g. `classifier_quality: score 0.12, not among the highest 10%`."""
        return f"{self.name}: score {row[signal_name(self.classifier)]:.4g}, not among the highest {self.share:.4g}"


class ClassifierCheck:
    """Removes documents whose score is on the wrong side of a threshold. `score_<classifier>`: the score."""

    def __init__(self, rules: Mapping[str, Rule], scores: pa.Table) -> None:
        """Take the rules by classifier, and the scores of all documents but duplicates, as in `scores_schema`."""
        self._rules = rules
        self._scores = scores
        self.signals = scores_schema(rules).remove(0)

    def check(self, documents: pa.Table) -> CheckResult:
        """Look up the scores, and apply the rules to them; a duplicate has no score and fails none."""
        places = pc.index_in(documents["id"], value_set=self._scores["id"])
        signals = self._scores.select(self.signals.names).take(places)
        failing = apply_rules(self._rules.values(), signals.append_column("id", documents["id"]))
        return CheckResult(failing, signals)
