"""The WARC files of a run that could not be fetched, or that are damaged at the source.

Notable: only the decisions of parts whose counters say so are read, and no more than are asked for.
"""

from collections.abc import Iterable, Mapping

from tasks.base.config import Config
from tasks.dataset.manifest import decisions_folder
from tasks.dataset.parquet_opening import read_rows
from tasks.dataset.parts import open_part
from tasks.dataset.store import Store


class FailedWarc(Config):
    """One WARC file."""

    path: str
    """Below the source's base."""
    reason: str | None
    """Why it was not fetched: missing, damaged, not_a_warc. None: it was, but is damaged at the source."""
    damaged_at: int | None
    """Offset of the first record that is damaged at the source, in bytes; what precedes it was read."""

    @property
    def in_words(self) -> str:
        """What is wrong with it, in words."""
        if self.reason:
            return f"left out, {self.reason.replace('_', ' ')}"
        return f"damaged at the source from byte {self.damaged_at or 0:,}"


def failed_warcs(
    store: Store, stage: str, fingerprint: str, parts: Iterable[tuple[str, Mapping[str, int]]], most: int
) -> tuple[FailedWarc, ...]:
    """Return up to `most` of them, among these parts of a stage, given by file name and counters."""
    found = []
    for name in [name for name, counters in parts if counters.get("failed") or counters.get("damaged")][:most]:
        with open_part(store, f"{decisions_folder(stage, fingerprint)}/{name}") as parquet:
            (row,) = read_rows(parquet, ["reasons", "path", "damaged_at"]).to_pylist()
        reason = next(iter(row["reasons"]), None)
        found.append(FailedWarc(path=row["path"], reason=reason, damaged_at=row["damaged_at"]))
    return tuple(found)
