"""The whole way from a store and a recipe to what would change: each stage before and after, and what stays open."""

import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

from flows.recipe.recipe import Recipe
from flows.what_if.decided_run import DecidedRun, open_decided_run
from flows.what_if.keep_top import with_scores_to_keep
from flows.what_if.outcome import DomainChange, Estimate, LanguageChange, RuleChange, StageChange, WhatIf
from flows.what_if.parts import NEWLY_DROPPED, NEWLY_KEPT, SIDES, StageDecisions, Tally, tally_part
from flows.what_if.samples import changed_document
from tasks.dataset.rules import limits_of
from tasks.dataset.store import Store
from tasks.filter.config import FilterConfig
from tasks.filter.measure import cleanings

_DOMAINS = 12
_READERS = 4


def what_if(store: Store, recipe: Recipe, samples: int = 5) -> WhatIf:
    """Decide again on the newest run with filter decisions, as `recipe` would; name up to `samples` of each side.

    Raises as `open_decided_run` does.
    """
    started = time.monotonic()
    run = with_scores_to_keep(store, open_decided_run(store, recipe))
    tallies = _tallies(store, run, samples)
    stages = _stage_changes(store, run.stages, tallies)
    return WhatIf(
        run=run.record.run,
        crawl=run.record.crawl,
        parts=len(run.parts),
        parts_expected=run.filtered.expected,
        decisions=sum(stage.read_before for stage in stages),
        seconds=round(time.monotonic() - started, 3),
        changes=list(run.changes),
        needs_run=list(run.needs_run),
        stages=stages,
        notes=[*_notes_on_stages(run, stages, tallies), *_notes_on_duplicates(run, stages, tallies.get("corpus"))],
    )


def _tallies(store: Store, run: DecidedRun, samples: int) -> dict[str, Tally]:
    """Count every stage over all parts; memory holds as many parts as there are readers."""
    totals = {stage.stage: Tally() for stage in run.stages}
    places = range(len(run.parts))
    with ThreadPoolExecutor(min(_READERS, os.cpu_count() or 1)) as readers:
        for tallies in readers.map(lambda at: tally_part(store, run.parts[at], at, run.stages, samples), places):
            for name, tally in tallies.items():
                totals[name].add(tally, samples)
    return totals


def _stage_changes(store: Store, stages: Sequence[StageDecisions], tallies: Mapping[str, Tally]) -> list[StageChange]:
    """Return each stage's numbers; what a stage never measured comes down from the stages before it."""
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
                read_after=_estimate(counts["read_after"], likely, unmeasured),
                kept_before=counts["kept_before"],
                kept_after=_kept_after(stage, counts, likely * pass_rate + likely_back, unmeasured + most_back),
                newly_kept=counts[NEWLY_KEPT],
                newly_dropped=counts[NEWLY_DROPPED],
                rules=_rule_changes(stage, tally),
                languages=_language_changes(tally.languages),
                domains=_domain_changes(tally.domains),
                samples={
                    side: [changed_document(store, stages[0].folder, stage, place) for place in places]
                    for side, places in tally.chosen.items()
                },
            )
        )
        unmeasured, likely = unmeasured + counts[NEWLY_KEPT], likely * pass_rate + counts[NEWLY_KEPT]
    return found


def _kept_after(stage: StageDecisions, counts: Counter[str], likely: float, most: int) -> Estimate:
    kept = _estimate(counts["kept_after"], likely, most)
    # Whether a page that was refused unread has a text shows only when it is read.
    return kept.model_copy(update={"least": kept.least - counts[NEWLY_KEPT]}) if stage.stage == "extract" else kept


def _estimate(measured: int, likely: float, most: int) -> Estimate:
    return Estimate(least=measured, likely=measured + round(likely), most=measured + most)


def _rule_changes(stage: StageDecisions, tally: Tally) -> list[RuleChange]:
    before, after = limits_of(stage.before), limits_of(stage.after)
    changes = [
        RuleChange(
            rule=name,
            limit_before=before.get(name),
            limit_after=after.get(name),
            failed_before=tally.failed_before[name],
            failed_after=tally.failed_after[name],
        )
        for name in tally.failed_before + tally.failed_after
    ]
    return sorted(changes, key=lambda change: (-max(change.failed_before, change.failed_after), change.rule))


def _language_changes(counts: Counter[tuple[str, str]]) -> list[LanguageChange]:
    names = {name for name, _ in counts}
    changes = [LanguageChange(language=name, **{side: counts[name, side] for side in SIDES}) for name in names]
    return sorted(changes, key=lambda one: (-one.newly_kept - one.newly_dropped, -one.kept_before, one.language))


def _domain_changes(counts: Counter[tuple[str, str]]) -> list[DomainChange]:
    names = {name for name, _ in counts}
    changes = [DomainChange(domain=name, **{side: counts[name, side] for side in SIDES[2:]}) for name in names]
    return sorted(changes, key=lambda one: (-one.newly_kept - one.newly_dropped, one.domain))[:_DOMAINS]


def _notes_on_stages(run: DecidedRun, stages: Sequence[StageChange], tallies: Mapping[str, Tally]) -> Iterator[str]:
    for stage in stages:
        if stage.stage not in run.plans:
            yield f"The recipe leaves {stage.stage} out: what it removed would be kept, with the texts as before it."
            continue
        made_by, now = run.record.stages[stage.stage].plan.version, run.plans[stage.stage].version
        if made_by != now:
            yield (
                f"The decisions of {stage.stage} were made by version {made_by} of the stage, and this is version "
                f"{now}: a new run may measure otherwise."
            )
    for decisions in run.stages:
        if decisions.not_measured:
            rules = ", ".join(decisions.not_measured)
            yield f"The run did not measure what {decisions.stage} needs for {rules}, so these rules are left out."
    if "thresholds" in run.plans and any(stage.newly_kept for stage in stages[:-1]):
        yield "The score at which a classifier keeps its share is found without documents that were never scored."
    fixed = tallies["extract"].counts["fixed"]
    if fixed:
        yield f"{fixed:,} records gave no text for reasons that no rule gives: they stay removed."
    for stage, later in pairwise(stages):
        if stage.newly_kept:
            passed = "would be read that were refused unread" if stage.stage == "extract" else "would newly be kept"
            yield (
                f"{stage.newly_kept:,} documents {passed}; {later.stage} has never seen them. Its likely count "
                "assumes that they pass at this run's rate."
            )


def _notes_on_duplicates(run: DecidedRun, stages: Sequence[StageChange], corpus: Tally | None) -> Iterator[str]:
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
