"""What the filter keeps of each kind of page, and by which rules it removes the rest.

Notable: only decisions are read, of a bounded number of row groups. Where the kinds are not known nothing is shown.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass

from flows.store.datasets import part_schema, sampled_rows, stage_decisions
from flows.store.run_record import RunRecord
from tasks.dataset.store import Store

_RULES_SHOWN = 6


@dataclass(frozen=True)
class KindCount:
    """One kind of page."""

    kind: str
    kept: int
    removed: int
    rules: tuple[tuple[str, int], ...]
    """The rules that most of its documents failed, and how many."""

    @property
    def kept_share(self) -> float:
        """Return the share of its documents that were kept."""
        return self.kept / (self.kept + self.removed)


def read_page_kinds(store: Store, record: RunRecord) -> tuple[KindCount, ...]:
    """Read the kinds of the documents that reached the filter, the most frequent first."""
    folder = stage_decisions(record, "filter")
    if "kind" not in part_schema(store, folder).names:
        return ()
    sides: dict[bool, Counter[str]] = {True: Counter(), False: Counter()}
    rules: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for _, rows in sampled_rows(store, folder, ["kept", "reasons", "kind"]):
        for row in rows:
            if row["kind"] is not None:
                sides[row["kept"]][row["kind"]] += 1
                rules[row["kind"]].update(row["reasons"])
    kept, removed = sides[True], sides[False]
    return tuple(
        KindCount(kind, kept[kind], removed[kind], tuple(rules[kind].most_common(_RULES_SHOWN)))
        for kind, _ in (kept + removed).most_common()
    )
