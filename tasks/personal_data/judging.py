"""The judge of personal data in the corpus stage: replaces what the recipe names, removes what holds too much."""

from __future__ import annotations

from collections import Counter

import pyarrow as pa

from tasks.dataset.document_check import CheckResult
from tasks.personal_data.replacing import KINDS, TOO_MUCH, PersonalDataConfig, is_too_much, replace_personal_data


class PersonalDataCheck:
    """Rewrites texts. `personal_data_<kind>`: how often each kind was found, replaced or not.

    Counts the same over all documents, as `personal_data.<kind>`, and those rewritten, as `personal_data.documents`.
    """

    signals = pa.schema([(f"personal_data_{kind}", pa.int32()) for kind in KINDS])

    def __init__(self, config: PersonalDataConfig) -> None:
        self._config = config

    def check(self, documents: pa.Table) -> CheckResult:
        """CheckResults and rewritten texts."""
        texts = documents["text"].to_pylist()
        replaced = [replace_personal_data(text, self._config.replace) for text in texts]
        reasons = [[TOO_MUCH] if is_too_much(one.counts, self._config) else [] for one in replaced]
        columns = [pa.array([one.counts[kind] for one in replaced], pa.int32()) for kind in KINDS]
        rewritten = sum(one.text != text for one, text in zip(replaced, texts, strict=True))
        counters = Counter({f"personal_data.{kind}": sum(one.counts[kind] for one in replaced) for kind in KINDS})
        counters["personal_data.documents"] = rewritten
        return CheckResult(
            reasons,
            pa.table(columns, schema=self.signals),
            [one.text for one in replaced] if rewritten else None,
            counters,
        )
