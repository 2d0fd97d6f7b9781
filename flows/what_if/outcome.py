"""What judging a run again comes to: each stage before and after, and what the numbers leave open."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from flows.store.why import Change
from flows.what_if.decided_run import JudgedRun
from flows.what_if.parts import NEWLY_DROPPED, NEWLY_KEPT, StageDecisions, Tally
from flows.what_if.samples import Sample, changed_documents
from tasks.base.config import Config
from tasks.dataset.rules import Rule, Threshold
from tasks.dataset.store import Store
from tasks.filter.config import FilterConfig
from tasks.filter.measure import cleanings

_DOMAINS = 12


class Reckoned(Config):
    """A number of documents, some of which may never have been measured; exact where all three are equal."""

    least: int
    likely: int
    most: int


class RuleChange(Config):
    """One rule."""

    rule: str
    limit_before: float | None
    """The threshold it had; None where it was no rule of the run, or is no threshold."""
    limit_after: float | None
    failed_before: int
    failed_after: int
    """Of the documents with a decision that would still reach the stage."""


class LanguageChange(Config):
    """The documents of one language."""

    language: str
    kept_before: int
    kept_after: int
    newly_kept: int
    newly_dropped: int


class DomainChange(Config):
    """The documents of one domain that change sides."""

    domain: str
    newly_kept: int
    newly_dropped: int


class StageChange(Config):
    """One judging stage, before and after."""

    stage: str
    read_before: int
    read_after: Reckoned
    kept_before: int
    kept_after: Reckoned
    newly_kept: int
    """Documents that the stage removed, and would keep."""
    newly_dropped: int
    """Documents that the stage kept, and would remove."""
    rules: list[RuleChange]
    """Every rule that a document failed before or would fail, the most frequent first."""
    languages: list[LanguageChange]
    """Most changed first, then most kept."""
    domains: list[DomainChange]
    """Those with the most documents that change sides."""
    samples: dict[str, list[Sample]]
    """Some documents that change sides, chosen by chance, under `newly_kept` and `newly_dropped`."""

    @property
    def changes(self) -> bool:
        """Whether any document would change sides here."""
        return bool(self.newly_kept or self.newly_dropped)


class WhatIf(Config):
    """A run's decisions under a recipe."""

    run: str
    crawl: str
    parts: int
    parts_expected: int | None
    """Parts of the whole crawl; more than `parts` where the run has not finished."""
    decisions: int
    """Decisions judged again, of all stages."""
    seconds: float
    changes: list[Change]
    """Fields that were judged by, and their values in the run and in the recipe."""
    not_judged: list[Change]
    """Fields that differ too, but decide what is fetched, extracted or measured: they are as the run had them."""
    stages: list[StageChange]
    notes: list[str]
    """What could not be judged, and what is an estimate."""


def stage_changes(store: Store, stages: Sequence[StageDecisions], tallies: Mapping[str, Tally]) -> list[StageChange]:
    """Each stage's numbers; what a stage never measured comes down from the stages before it."""
    found = []
    unmeasured, likely = 0, 0.0
    for stage in stages:
        tally = tallies[stage.stage]
        counts = tally.counts
        pass_rate = counts["kept_before"] / counts["read_before"] if counts["read_before"] else 0.0
        likely_back, most_back = tally.lost_keepers.returning()
        found.append(
            StageChange(
                stage=stage.stage,
                read_before=counts["read_before"],
                read_after=_reckoned(counts["read_after"], likely, unmeasured),
                kept_before=counts["kept_before"],
                kept_after=_kept_after(stage, counts, likely * pass_rate + likely_back, unmeasured + most_back),
                newly_kept=counts[NEWLY_KEPT],
                newly_dropped=counts[NEWLY_DROPPED],
                rules=_rule_changes(stage, tally),
                languages=_language_changes(tally.languages),
                domains=_domain_changes(tally.domains),
                samples={
                    side: changed_documents(store, stages[0].folder, stage, places)
                    for side, places in tally.chosen.items()
                },
            )
        )
        unmeasured, likely = unmeasured + counts[NEWLY_KEPT], likely * pass_rate + counts[NEWLY_KEPT]
    return found


def _kept_after(stage: StageDecisions, counts: Counter[str], likely: float, most: int) -> Reckoned:
    kept = _reckoned(counts["kept_after"], likely, most)
    # Whether there is text in a page that was refused unread shows when it is read.
    return kept.model_copy(update={"least": kept.least - counts[NEWLY_KEPT]}) if stage.stage == "extract" else kept


def _reckoned(measured: int, likely: float, most: int) -> Reckoned:
    return Reckoned(least=measured, likely=measured + round(likely), most=measured + most)


def _rule_changes(stage: StageDecisions, tally: Tally) -> list[RuleChange]:
    before, after = ({test.name: _limit(test) for test in tests} for tests in (stage.before, stage.after))
    names = {name for name, count in (tally.failed_before + tally.failed_after).items() if count}
    changes = [
        RuleChange(
            rule=name,
            limit_before=before.get(name),
            limit_after=after.get(name),
            failed_before=tally.failed_before[name],
            failed_after=tally.failed_after[name],
        )
        for name in names
    ]
    return sorted(changes, key=lambda change: (-max(change.failed_before, change.failed_after), change.rule))


def _limit(test: Rule) -> float | None:
    return test.limit if isinstance(test, Threshold) else None


def _language_changes(counts: Counter[tuple[str, str]]) -> list[LanguageChange]:
    whats = ("kept_before", "kept_after", NEWLY_KEPT, NEWLY_DROPPED)
    changes = [
        LanguageChange(language=name, **{what: counts[name, what] for what in whats})
        for name in {name for name, _ in counts}
    ]
    return sorted(changes, key=lambda one: (-one.newly_kept - one.newly_dropped, -one.kept_before, one.language))


def _domain_changes(counts: Counter[tuple[str, str]]) -> list[DomainChange]:
    changes = [
        DomainChange(domain=name, newly_kept=counts[name, NEWLY_KEPT], newly_dropped=counts[name, NEWLY_DROPPED])
        for name in {name for name, _ in counts}
    ]
    return sorted(changes, key=lambda one: (-one.newly_kept - one.newly_dropped, one.domain))[:_DOMAINS]


def reckon(run: JudgedRun, stages: list[StageChange], tallies: Mapping[str, Tally], seconds: float) -> WhatIf:
    """All of it put together."""
    return WhatIf(
        run=run.record.run,
        crawl=run.record.crawl,
        parts=len(run.parts),
        parts_expected=run.filtered.expected,
        decisions=sum(stage.read_before for stage in stages),
        seconds=round(seconds, 3),
        changes=list(run.changes),
        not_judged=list(run.not_judged),
        stages=stages,
        notes=[*_notes_on_stages(run, stages, tallies), *_notes_on_duplicates(run, stages, tallies.get("corpus"))],
    )


def _notes_on_stages(run: JudgedRun, stages: Sequence[StageChange], tallies: Mapping[str, Tally]) -> Iterator[str]:
    for stage in stages:
        made_by, now = run.record.stages[stage.stage].plan.version, run.plans[stage.stage].version
        if made_by != now:
            yield (
                f"The decisions of {stage.stage} were made by version {made_by} of the stage, and this is version "
                f"{now}: a new run may measure otherwise."
            )
    for decisions in run.stages:
        if decisions.not_measured:
            rules = ", ".join(decisions.not_measured)
            yield f"The run did not measure what {decisions.stage} needs for {rules}: not judged."
    if "thresholds" in run.plans and any(stage.newly_kept for stage in stages[:-1]):
        yield "The score at which a classifier keeps its share is found without documents that were never scored."
    fixed = tallies["extract"].counts["fixed"]
    if fixed:
        yield f"{fixed:,} records gave no text for reasons that are no thresholds: they stay out."
    for stage, later in pairwise(stages):
        if stage.newly_kept:
            passed = "would be read that were refused unread" if stage.stage == "extract" else "would newly be kept"
            yield (
                f"{stage.newly_kept:,} documents {passed}; {later.stage} has never seen them. Its likely count takes "
                "them to pass at this run's rate."
            )


def _notes_on_duplicates(run: JudgedRun, stages: Sequence[StageChange], corpus: Tally | None) -> Iterator[str]:
    if corpus is None:
        yield "The run has not looked for duplicates in all of these parts, so this ends with the filter."
        return
    likely, most = corpus.lost_keepers.returning()
    if most:
        yield (
            f"Clusters of duplicates lose documents: {likely:,} lose the one that was kept, and are likely to keep "
            f"another; the most counts all {most:,} duplicates that may return."
        )
    if any(stage.newly_kept for stage in stages if stage.stage != "corpus"):
        yield "The corpus keeps the least only if no new document joins two clusters of duplicates into one."
    configs = [
        FilterConfig.model_validate(plan.config) for plan in (run.record.stages["filter"].plan, run.plans["filter"])
    ]
    if cleanings(configs[0]) != cleanings(configs[1]):
        yield "The recipe and the run clean lines of the texts differently, so other texts may be duplicates."
