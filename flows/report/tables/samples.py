"""Texts for the reader: some that were kept, some that were removed, with the reasons and the numbers, and duplicates.

Notable: the choice is random but the same every time: within the row groups looked at, the documents with the
smallest hash of their id. A removed document's text is in the dataset before the stage that removed it, in the part of
the same name.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import xxhash

from flows.report.tables.text_difference import Piece, mark_differences
from flows.store.datasets import rows_by_id, sampled_parts, sampled_rows, stage_decisions, stage_folder
from flows.store.deciding_stages import DECIDING_STAGES, decides_on, plans_of, rules_of
from flows.store.run_record import RunRecord
from tasks.dataset.rules import Rule
from tasks.dataset.store import Store
from tasks.dedup.clusters import EXACT, NEAR

_SAMPLES = 6
_REASONS = 40
_SAMPLES_OF_A_REASON = 2
_CANDIDATES = 12
_PAIRS = 4
_CHARACTERS = 1600
"""Characters of a text that are shown."""
_DUPLICATE_REASONS = (EXACT, NEAR)  # which have pairs to show
_TEXT_COLUMNS = ("url", "language", "text")


@dataclass(frozen=True)
class TextSample:
    """The beginning of a document."""

    id: str
    url: str
    language: str
    text: str
    characters: int
    """Length of the whole text."""

    @property
    def is_cut(self) -> bool:
        """Return whether there is more text than is shown."""
        return self.characters > len(self.text)


@dataclass(frozen=True)
class RecordSample:
    """A record that gave no document."""

    id: str
    url: str
    """Empty where the record is too damaged to have one."""


@dataclass(frozen=True)
class RemovedSample:
    """A document that a stage removed."""

    document: TextSample
    failures: tuple[str, ...]
    """Each rule it failed, with what was measured, e.g. `gopher_min_words: words 31 < 50`."""


@dataclass(frozen=True)
class RemovedFor:
    """Documents removed for one reason."""

    stage: str
    reason: str
    samples: tuple[RemovedSample, ...]


@dataclass(frozen=True)
class DuplicatePair:
    """A document removed as a duplicate, beside the one that was kept."""

    reason: str
    removed: TextSample
    kept: TextSample
    removed_pieces: tuple[Piece, ...]
    """The removed text, what differs marked."""
    kept_pieces: tuple[Piece, ...]


@dataclass(frozen=True)
class _Found:
    """A row of decisions worth showing."""

    part: str
    row: dict[str, Any]

    @property
    def id(self) -> str:
        return str(self.row["id"])


def kept_samples(store: Store, record: RunRecord) -> tuple[TextSample, ...]:
    """Return some documents of the corpus."""
    chosen: list[dict[str, Any]] = []
    for _, rows in sampled_rows(store, stage_folder(record, "corpus"), ["id", *_TEXT_COLUMNS]):
        chosen = sorted([*chosen, *rows], key=_draw)[:_SAMPLES]
    return tuple(_text_sample(row) for row in chosen)


def removed_samples(store: Store, record: RunRecord) -> tuple[RemovedFor, ...]:
    """Return some documents that the filter or the corpus stage removed, for each of their most frequent reasons."""
    pairs = ((stage, decides_on(stage)) for stage in DECIDING_STAGES if stage in record.stages)
    return tuple(found for stage, before in pairs if before for found in _removed_by(store, record, stage, before))


def _removed_by(store: Store, record: RunRecord, stage: str, before: str) -> Iterator[RemovedFor]:
    """Yield documents that `stage` removed of those that the stage `before` kept."""
    rules = {rule.name: rule for rule in rules_of(stage, plans_of(record))}
    columns = list(
        dict.fromkeys(["id", "kept", "reasons", *(name for rule in rules.values() for name in rule.columns)])
    )
    by_reason: defaultdict[str, list[_Found]] = defaultdict(list)
    counts: defaultdict[str, int] = defaultdict(int)
    for part, rows in sampled_rows(store, stage_decisions(record, stage), columns):
        for row in rows:
            for reason in row["reasons"]:
                if reason not in _DUPLICATE_REASONS:
                    counts[reason] += 1
                    by_reason[reason].append(_Found(part, row))
        # A document that failed only this rule shows best what the rule does.
        for reason, found in by_reason.items():
            by_reason[reason] = sorted(found, key=lambda one: (len(one.row["reasons"]), _draw(one.row)))[:_CANDIDATES]
    chosen = _one_reason_each(sorted(counts, key=lambda reason: (-counts[reason], reason)), by_reason)
    texts = _texts(store, stage_folder(record, before), [one for found in chosen.values() for one in found])
    for reason, found in chosen.items():
        samples = (RemovedSample(_text_sample(texts[one.id]), _failures(one.row, rules)) for one in found)
        yield RemovedFor(stage, reason, tuple(samples))


def _one_reason_each(reasons: Iterable[str], candidates: Mapping[str, list[_Found]]) -> dict[str, list[_Found]]:
    """Choose some documents for each reason, none twice; a reason without one of its own to show is left out."""
    chosen: dict[str, list[_Found]] = {}
    shown: set[str] = set()
    for reason in reasons:
        fresh = [one for one in candidates[reason] if one.id not in shown][:_SAMPLES_OF_A_REASON]
        if fresh and len(chosen) < _REASONS:
            chosen[reason] = fresh
            shown.update(one.id for one in fresh)
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
    parts = sampled_parts(store, stage_decisions(record, "corpus"))
    found: list[_Found] = []
    keepers: dict[str, str] = {}
    for part, rows in sampled_rows(store, stage_decisions(record, "corpus"), ["id", "kept", "reasons", "duplicate_of"]):
        keepers.update({str(row["id"]): part for row in rows if row["kept"]})
        found += [_Found(part, row) for row in rows if row["reasons"]]
    within = [one for one in found if one.row["duplicate_of"] in keepers and one.part in parts]
    chosen = sorted(within, key=lambda one: (NEAR not in one.row["reasons"], _draw(one.row)))[:_PAIRS]
    kept = [_Found(keepers[one.row["duplicate_of"]], {"id": one.row["duplicate_of"]}) for one in chosen]
    texts = _texts(store, stage_folder(record, "filter"), [*chosen, *kept])
    return tuple(
        _pair(one, texts[one.id], texts[one.row["duplicate_of"]])
        for one in chosen
        if one.id in texts and one.row["duplicate_of"] in texts
    )


def _pair(one: _Found, removed: Mapping[str, Any], kept: Mapping[str, Any]) -> DuplicatePair:
    samples = _text_sample(removed), _text_sample(kept)
    pieces = mark_differences(samples[0].text, samples[1].text)
    return DuplicatePair(str(one.row["reasons"][0]), *samples, *pieces)


def _texts(store: Store, folder: str, wanted: Iterable[_Found]) -> dict[str, dict[str, Any]]:
    """Read the documents by id, from the parts of another dataset with the same names."""
    by_part: defaultdict[str, set[str]] = defaultdict(set)
    for one in wanted:
        by_part[one.part].add(one.id)
    texts: dict[str, dict[str, Any]] = {}
    for part, ids in sorted(by_part.items()):
        texts.update(rows_by_id(store, folder, part, sorted(ids), _TEXT_COLUMNS))
    return texts


def _failures(row: Mapping[str, Any], rules: Mapping[str, Rule]) -> tuple[str, ...]:
    """Return each reason, with the measured number and the threshold where a rule gave it."""
    return tuple(rules[reason].explain(row) if reason in rules else str(reason) for reason in row["reasons"])


def _text_sample(row: Mapping[str, Any]) -> TextSample:
    text = str(row["text"])
    return TextSample(
        id=str(row["id"]),
        url=str(row["url"]),
        language=str(row["language"]),
        text=text[:_CHARACTERS],
        characters=len(text),
    )


def _draw(row: Mapping[str, Any]) -> str:
    """Return a document's place in the random order, the same in every report."""
    return xxhash.xxh3_128_hexdigest(str(row["id"]))
