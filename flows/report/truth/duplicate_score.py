"""The duplicates that were found against those of the synthetic web, pair by pair."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tasks.synthetic_web.truth import PageTruth


@dataclass(frozen=True)
class DuplicateScore:
    """Pairs of documents in one cluster, among those that reached deduplication."""

    true_pairs: int
    found_pairs: int
    right_pairs: int
    """Pairs that are both."""
    true_clusters: int
    """Clusters of at least two documents."""
    found_clusters: int

    @property
    def precision(self) -> float | None:
        """Return the share of the found pairs that are copies; None where none was found."""
        return self.right_pairs / self.found_pairs if self.found_pairs else None

    @property
    def recall(self) -> float | None:
        """Return the share of the true pairs that were found; None where there are none."""
        return self.right_pairs / self.true_pairs if self.true_pairs else None


def score_duplicates(truth: Iterable[PageTruth], found: Mapping[str, str]) -> DuplicateScore:
    """Score the clusters; `found` names that of each document that reached deduplication, alone or not."""
    true = {page.id: page.duplicate_cluster or page.id for page in truth if page.id in found}
    true_sizes = Counter(true.values())
    found_sizes = Counter(found[id] for id in true)
    both: defaultdict[tuple[str, str], int] = defaultdict(int)
    for id, cluster in true.items():
        both[cluster, found[id]] += 1
    return DuplicateScore(
        true_pairs=sum(map(_pairs, true_sizes.values())),
        found_pairs=sum(map(_pairs, found_sizes.values())),
        right_pairs=sum(map(_pairs, both.values())),
        true_clusters=sum(size > 1 for size in true_sizes.values()),
        found_clusters=sum(size > 1 for size in found_sizes.values()),
    )


def _pairs(members: int) -> int:
    return members * (members - 1) // 2
