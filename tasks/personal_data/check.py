"""The check for personal data: replaces what the recipe names, removes documents that hold too much of it."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from tasks.dataset.document_check import CheckResult
from tasks.dataset.rules import Bools, Rule, apply_rules
from tasks.personal_data.replacing import KINDS, Kind, PersonalDataConfig, replace_personal_data

TOO_MUCH = "personal_data"  # the reason given where a document holds more than `max_per_document`


class PersonalDataCheck:
    """Rewrites texts, and counts how often each kind was found, replaced or not, and the documents rewritten."""

    signals = pa.schema([(f"personal_data_{kind}", pa.int32()) for kind in KINDS])

    def __init__(self, config: PersonalDataConfig) -> None:
        self._config = config

    def check(self, documents: pa.Table) -> CheckResult:
        """Rewrite the texts, and apply the rules to the counts."""
        texts = documents["text"].to_pylist()
        replaced = [replace_personal_data(text, self._config.replace) for text in texts]
        columns = [pa.array([one.counts[kind] for one in replaced], pa.int32()) for kind in KINDS]
        signals = pa.table(columns, schema=self.signals)
        rewritten = sum(one.text != text for one, text in zip(replaced, texts, strict=True))
        counters = Counter({f"personal_data.{kind}": sum(one.counts[kind] for one in replaced) for kind in KINDS})
        counters["personal_data.documents"] = rewritten
        return CheckResult(
            apply_rules(personal_data_rules(self._config), signals),
            signals,
            [one.text for one in replaced] if rewritten else None,
            counters,
        )


def personal_data_rules(config: PersonalDataConfig) -> tuple[Rule, ...]:
    """Return the rule on how much of the replaced kinds a document may hold, where the recipe sets a limit."""
    if config.max_per_document is None:
        return ()
    return (TooMuchPersonalData(config.replace, config.max_per_document),)


@dataclass(frozen=True)
class TooMuchPersonalData:
    """Fails a document with more finds of these kinds than the limit."""

    kinds: tuple[Kind, ...]
    limit: int

    name = TOO_MUCH

    @property
    def columns(self) -> tuple[str, ...]:
        """The count of each kind."""
        return tuple(f"personal_data_{kind}" for kind in self.kinds)

    def failing(self, table: pa.Table) -> Bools:
        """Return which documents fail."""
        finds = np.zeros(table.num_rows, np.int64)
        for name in self.columns:
            finds += table[name].to_numpy()
        return finds > self.limit

    def explain(self, row: Mapping[str, Any]) -> str:
        """Return e.g. `personal_data: 7 finds > 5`."""
        return f"{self.name}: {sum(row[name] for name in self.columns)} finds > {self.limit}"
