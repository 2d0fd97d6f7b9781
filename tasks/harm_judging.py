"""The judge of harmful content and bias in the corpus stage."""

from __future__ import annotations

from collections import Counter

import pyarrow as pa

from tasks.corpus_judging import Judged
from tasks.harm import CATEGORIES, HarmConfig, Lexicon, harm_reasons, score_harm


class HarmJudge:
    """Scores texts by a lexicon. `harm_<category>`: weight of the terms found for each 1,000 words.

    Counts the documents in which anything was found, as `harm.<category>`.
    """

    signals = pa.schema([(f"harm_{category}", pa.float32()) for category in CATEGORIES])

    def __init__(self, config: HarmConfig, lexicon: Lexicon) -> None:
        self._config = config
        self._lexicon = lexicon

    def judge(self, documents: pa.Table) -> Judged:
        """Scores, and verdicts by the thresholds."""
        scored = [score_harm(text, self._lexicon) for text in documents["text"].to_pylist()]
        reasons = [harm_reasons(scores, self._config) for scores in scored]
        columns = [pa.array([scores[category] for scores in scored], pa.float32()) for category in CATEGORIES]
        counters = Counter({f"harm.{name}": sum(scores[name] > 0 for scores in scored) for name in CATEGORIES})
        return Judged(reasons, pa.table(columns, schema=self.signals), counters=counters)
