"""Why a stage ran again: which field of the recipe changed, from what to what, and in which stage.

Notable: the answer is read from the run records in the store, so the question can be asked at any time.
"""

from collections.abc import Mapping

from flows.recipe.stage_plan import StagePlan
from flows.store.run_record import RunRecord, StageRecord, newest_runs
from tasks.base.config import Config
from tasks.base.errors import PermanentError, UsageError
from tasks.base.fingerprint import differences
from tasks.dataset.store import Store
from tasks.own_code.named_code import without_source


class Change(Config):
    """One field that differs between two runs."""

    stage: str
    """The stage that reads the field."""
    field: str
    """Dotted path within the stage's part of the recipe, or `version`."""
    before: object
    after: object


class Explanation(Config):
    """Why a stage's dataset in one run is not the one of the run before."""

    stage: str
    run: str
    compared_with: str | None
    """The newest earlier run in which the stage had another fingerprint; None: there is none."""
    changes: list[Change]
    """The fields that changed, in the stage itself or upstream."""
    words: str
    """The explanation in words."""


def explain_stage(store: Store, stage: str) -> Explanation:
    """Compare the latest run that has `stage` with the newest earlier one whose dataset was another."""
    with_stage = [record for record in newest_runs(store) if stage in record.stages]
    if not with_stage:
        from flows.stages.registry import STAGES  # slow to import, and only this message needs it

        if stage not in STAGES:
            raise UsageError(f"There is no stage called {stage!r}; there are: {', '.join(STAGES)}.")
        raise PermanentError(f"No run in {store.url} has the stage {stage!r} yet.")
    latest = with_stage[0]
    now = latest.stages[stage].plan
    if latest.stages[stage].state in ("planned", "waiting"):
        state = "has not come to it yet" if latest.state_now() == "running" else f"{latest.state_now()} before it"
        words = f"{stage} has not run: the run {latest.run} {state}."
        return Explanation(stage=stage, run=latest.run, compared_with=None, changes=[], words=words)
    earlier = next((r for r in with_stage[1:] if r.stages[stage].plan.fingerprint != now.fingerprint), None)
    if earlier is None:
        words = (
            f"{stage} ran because it had never run in this store."
            if len(with_stage) == 1
            else f"{stage} has had the same fingerprint, {now.fingerprint}, in every run: only missing parts are built."
        )
        return Explanation(stage=stage, run=latest.run, compared_with=None, changes=[], words=words)
    changes = _changes(stage, earlier, latest)
    words = _in_words(stage, changes) + _share_built(latest.stages[stage])
    return Explanation(stage=stage, run=latest.run, compared_with=earlier.run, changes=changes, words=words)


def what_changed(before: RunRecord, plans: Mapping[str, StagePlan]) -> list[str]:
    """Return, in words, each field that differs from an earlier run's, and what is made again for it."""
    lines = []
    for name, plan in plans.items():
        if name not in before.stages or before.stages[name].plan.fingerprint == plan.fingerprint:
            continue
        old = before.stages[name].plan
        words = [_change_in_words(change) for change in _own_changes(name, old, plan)]
        if not words:
            continue
        what = (
            "finished parts stay; new ones are built, and what joins all parts is made again"
            if old.part_fingerprint == plan.part_fingerprint
            else f"{name} is made again, and after it all whose input is then another"
        )
        lines.append(f"{'; '.join(words)}: {what}")
    return lines


def _changes(stage: str, before: RunRecord, after: RunRecord) -> list[Change]:
    """Return every changed field of the stage and of all stages it builds on, upstream first."""
    old, new = before.stages[stage].plan, after.stages[stage].plan
    found: list[Change] = []
    for name, fingerprint in new.upstream.items():
        if name not in old.upstream:
            found.append(Change(stage=stage, field="upstream", before=sorted(old.upstream), after=sorted(new.upstream)))
        elif fingerprint != old.upstream[name]:
            found += _changes(name, before, after)
    found += _own_changes(stage, old, new)
    return list({(change.stage, change.field): change for change in found}.values())


def _own_changes(stage: str, old: StagePlan, new: StagePlan) -> list[Change]:
    """Return every changed field of the stage itself."""
    fields = (*differences(old.config, new.config), ("version", old.version, new.version))
    return [Change(stage=stage, field=field, before=was, after=now) for field, was, now in fields if was != now]


def _in_words(stage: str, changes: list[Change]) -> str:
    if not changes:
        return f"{stage} ran again because the stages it builds on changed."
    return f"{stage} ran again because " + "; ".join(map(_change_in_words, changes)) + "."


def _change_in_words(change: Change) -> str:
    if change.field == "version":
        return f"the code of {change.stage} went from version {change.before} to {change.after}"
    before, after = without_source(change.before), without_source(change.after)
    return f"{change.stage}.{change.field} changed from {before!r} to {after!r}"


def _share_built(stage: StageRecord) -> str:
    """Return how much of the stage was taken over from other datasets, in words; nothing where none was."""
    if not stage.parts_taken:
        return ""
    return (
        f" Only what is new was built: of {stage.parts_expected} parts {stage.parts_taken} are those of earlier runs, "
        f"{stage.parts_built} were built."
    )
