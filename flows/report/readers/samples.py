"""Texts for the reader: some that were kept, some that were removed, with the reasons and the numbers, and duplicates.

Notable: the choice is random but the same every time: within the row groups looked at, the documents with the
smallest hash of their id. A removed document's text is in the dataset before the stage that removed it, in the part of
the same name.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import xxhash

from flows.report.readers.text_difference import Piece, mark_differences
from flows.store.datasets import most_frequent, rows_by_id, sampled_rows, stage_decisions, stage_folder
from flows.store.deciding_stages import decides_on, deciding_stages, plans_of, rules_of
from flows.store.run_record import RunRecord
from tasks.dataset.rules import Rule
from tasks.dataset.store import Store
from tasks.dedup.cluster_decisions import EXACT, NEAR

_SAMPLES = 6
_REASONS = 40
_SAMPLES_OF_A_REASON = 2
_CANDIDATES = 12
_PAIRS = 4
_CHARACTERS = 1600
"""Characters of a text that are shown."""
_DUPLICATE_REASONS = {EXACT, NEAR}  # which have pairs to show
_TEXT_COLUMNS = ("url", "language", "text")


class TextSample(NamedTuple):
    """The beginning of a document."""

    id: str
    url: str
    language: str
    text: str
    characters: int
    """Length of the whole text."""


class RecordSample(NamedTuple):
    """A record that gave no document."""

    id: str
    url: str
    """Empty where the record is too damaged to have one."""


class RemovedSample(NamedTuple):
    """A document that a stage removed."""

    document: TextSample
    failures: tuple[str, ...]
    """Each rule it failed, with what was measured, e.g. `gopher_min_words: words 31 < 50`."""


class RemovedFor(NamedTuple):
    """Documents removed for one reason."""

    stage: str
    reason: str
    samples: tuple[RemovedSample, ...]


class DuplicatePair(NamedTuple):
    """A document removed as a duplicate, beside the one that was kept."""

    reason: str
    removed: TextSample
    kept: TextSample
    removed_pieces: tuple[Piece, ...]
    """The removed text, what differs marked."""
    kept_pieces: tuple[Piece, ...]


Row = dict[str, Any]
"""A row of decisions, and under `part` the part that it stands in; or of documents."""


def kept_samples(store: Store, record: RunRecord) -> tuple[TextSample, ...]:
    """Return some documents of the corpus."""
    chosen: list[Row] = []
    for _, rows in sampled_rows(store, stage_folder(record, "corpus"), ["id", *_TEXT_COLUMNS]):
        chosen = sorted([*chosen, *rows], key=_draw)[:_SAMPLES]
    return tuple(_text_sample(row) for row in chosen)


def removed_samples(store: Store, record: RunRecord) -> tuple[RemovedFor, ...]:
    """Return some documents that each stage after the extraction removed, for each of its most frequent reasons."""
    plans = plans_of(record)
    pairs = ((stage, decides_on(stage, plans)) for stage in deciding_stages(plans))
    return tuple(found for stage, before in pairs if before for found in _removed_by(store, record, stage, before))


def _removed_by(store: Store, record: RunRecord, stage: str, before: str) -> Iterator[RemovedFor]:
    """Yield documents that `stage` removed of those that the stage `before` kept."""
    rules = {rule.name: rule for rule in rules_of(stage, plans_of(record))}
    columns = ["id", "kept", "reasons", *(name for rule in rules.values() for name in rule.columns)]
    by_reason: defaultdict[str, list[Row]] = defaultdict(list)
    counts: Counter[str] = Counter()
    for part, rows in sampled_rows(store, stage_decisions(record, stage), list(dict.fromkeys(columns))):
        for row in rows:
            for reason in set(row["reasons"]) - _DUPLICATE_REASONS:
                counts[reason] += 1
                by_reason[reason].append(row | {"part": part})
        # A document that failed only this rule shows best what the rule does.
        for reason, found in by_reason.items():
            by_reason[reason] = sorted(found, key=lambda row: (len(row["reasons"]), _draw(row)))[:_CANDIDATES]
    chosen = _one_reason_each({reason: by_reason[reason] for reason, _ in most_frequent(counts)})
    texts = _texts(store, stage_folder(record, before), [row for found in chosen.values() for row in found])
    for reason, found in chosen.items():
        samples = (RemovedSample(_text_sample(texts[row["id"]]), _failures(row, rules)) for row in found)
        yield RemovedFor(stage, reason, tuple(samples))


def _one_reason_each(candidates: Mapping[str, list[Row]]) -> dict[str, list[Row]]:
    """Choose some documents for each reason, none twice; a reason without one of its own to show is left out."""
    chosen: dict[str, list[Row]] = {}
    shown: set[str] = set()
    for reason, rows in candidates.items():
        fresh = [row for row in rows if row["id"] not in shown][:_SAMPLES_OF_A_REASON]
        if fresh and len(chosen) < _REASONS:
            chosen[reason] = fresh
            shown.update(row["id"] for row in fresh)
    return chosen


def unreadable_samples(store: Store, record: RunRecord) -> dict[str, list[RecordSample]]:
    """Return a few records for each reason of the extraction: they have no text to show."""
    chosen: defaultdict[str, list[RecordSample]] = defaultdict(list)
    for _, rows in sampled_rows(store, stage_decisions(record, "extract"), ["id", "reasons", "url"]):
        for row in rows:
            for reason in row["reasons"]:
                if len(chosen[reason]) < _SAMPLES_OF_A_REASON:
                    chosen[reason].append(RecordSample(str(row["id"]), str(row.get("url") or "")))
    return dict(chosen)


def duplicate_pairs(store: Store, record: RunRecord) -> tuple[DuplicatePair, ...]:
    """Return some removed duplicates beside the documents kept in their place, near-duplicates first."""
    rows: dict[str, Row] = {}
    for part, some in sampled_rows(store, stage_decisions(record, "corpus"), ["id", "kept", "reasons", "duplicate_of"]):
        rows |= {row["id"]: row | {"part": part} for row in some}
    within = [row for row in rows.values() if row["reasons"] and rows.get(row["duplicate_of"], {"kept": False})["kept"]]
    chosen = sorted(within, key=lambda row: (NEAR not in row["reasons"], _draw(row)))[:_PAIRS]
    kept = [rows[row["duplicate_of"]] for row in chosen]
    texts = _texts(store, stage_folder(record, "filter"), [*chosen, *kept])
    pairs = []
    for row in chosen:
        if row["id"] in texts and row["duplicate_of"] in texts:
            removed, keeper = _text_sample(texts[row["id"]]), _text_sample(texts[row["duplicate_of"]])
            pieces = mark_differences(removed.text, keeper.text)
            pairs.append(DuplicatePair(row["reasons"][0], removed, keeper, *pieces))
    return tuple(pairs)


def _texts(store: Store, folder: str, wanted: Iterable[Row]) -> dict[str, Row]:
    """Read the documents by id, from the parts of another dataset with the same names."""
    by_part: defaultdict[str, set[str]] = defaultdict(set)
    for row in wanted:
        by_part[row["part"]].add(row["id"])
    texts: dict[str, Row] = {}
    for part, ids in sorted(by_part.items()):
        texts |= rows_by_id(store, folder, part, sorted(ids), _TEXT_COLUMNS)
    return texts


def _failures(row: Row, rules: Mapping[str, Rule]) -> tuple[str, ...]:
    """Return each reason, with the measured number and the threshold where a rule gave it."""
    return tuple(rules[reason].explain(row) if reason in rules else reason for reason in row["reasons"])


def _text_sample(row: Row) -> TextSample:
    text = row["text"]
    return TextSample(row["id"], row["url"], row["language"], text[:_CHARACTERS], len(text))


def _draw(row: Row) -> str:
    """Return a document's place in the random order, the same in every report."""
    return xxhash.xxh3_128_hexdigest(row["id"])
