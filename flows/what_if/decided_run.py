"""Which run is decided on again, by which rules, and which fields of the recipe need a new run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from flows.recipe.own_code import pin_own_code
from flows.recipe.recipe import Recipe
from flows.recipe.stage_plan import StagePlan
from flows.stages.plan import plan_stages
from flows.stages.registry import STAGES, with_upstream
from flows.store.datasets import DatasetCount, count_dataset, stage_decisions
from flows.store.deciding_stages import Plans, deciding_stages, is_read_by_rules, plans_of, rules_of
from flows.store.run_record import RunRecord, latest_run, newest_runs
from flows.store.why import Change
from flows.what_if.parts import StageDecisions, column_names
from flows.what_if.reevaluation import Reevaluation
from tasks.base.errors import PermanentError, UsageError
from tasks.base.fingerprint import differences
from tasks.dataset.data_files import pin_data_files
from tasks.dataset.manifest import decisions_folder
from tasks.dataset.rules import Rule, limits_of
from tasks.dataset.store import Store
from tasks.fetch.source_listing import resolve_source
from tasks.filter.own_rules import RecordedRule
from tasks.own_code.named_code import without_source
from tasks.workers.scratch_folder import scratch_folder

Sides = tuple[tuple[Rule, ...], tuple[Rule, ...]]
"""A stage's rules in the run and in the recipe."""
_COMPARED = [name for name in with_upstream(["corpus"]) if name != "thresholds"]
"""The stages that decide what the corpus is; the shares that `thresholds` reads are in the rules of `corpus` too."""


@dataclass(frozen=True)
class DecidedRun:
    """A run, and the recipe by which to decide again."""

    record: RunRecord
    plans: Plans
    """The stages as the recipe would have them."""
    filtered: DatasetCount
    """The run's filter stage, which has at least one part."""
    stages: tuple[StageDecisions, ...]
    """Those with decisions on every part that the filter has decided on: extract, filter, and corpus if it is done,
    with those of the user's own between them."""
    changes: tuple[Change, ...]
    """Fields of the recipe that differ from the run's, and that rules read."""
    needs_run: tuple[Change, ...]
    """Fields that differ too, but decide what is fetched, extracted or compared."""

    @property
    def parts(self) -> list[str]:
        """Return the file names of the parts."""
        return [part.name for part in self.filtered.parts]


def open_decided_run(store: Store, recipe: Recipe) -> DecidedRun:
    """Return the newest run with filter decisions, and all that it takes to decide again as `recipe` would.

    Raises:
        PermanentError: there is no such run, or its decisions lack what a rule needs.
        UsageError: the recipe asks for other measurements.
    """
    record, filtered = _newest_filtered(store)
    plans = _plans(recipe, record)
    rules = _rules(record, plans)
    changes, needs_run = _compared(record, plans, rules)
    stages = tuple(
        _stage_decisions(store, record.stages[name].plan, plans.get(name), rules[name], filtered.parts[0].name)
        for name in _decided_stages(store, record, filtered)
    )
    return DecidedRun(record, plans, filtered, stages, tuple(changes), tuple(needs_run))


def _newest_filtered(store: Store) -> tuple[RunRecord, DatasetCount]:
    latest_run(store)  # raises where there is none
    for record in newest_runs(store):
        filtered = count_dataset(store, record, "filter")
        if filtered and filtered.parts:
            return record, filtered
    raise PermanentError(
        f"No run in {store.url} has come as far as the filter, so there are no decisions yet: "
        "let `sluice corpus` get there first."
    )


def _plans(recipe: Recipe, record: RunRecord) -> dict[str, StagePlan]:
    """Plan the recipe on the run's crawl, without writing to the run's store."""
    crawl = record.crawl if recipe.synthetic_web or recipe.source.crawl == "latest" else recipe.source.crawl
    with scratch_folder("what-if") as folder:
        pinned = pin_own_code(pin_data_files(recipe, Store(str(folder))))
    if not recipe.synthetic_web:
        source = resolve_source(pinned.source.model_copy(update={"crawl": crawl}))
        pinned = pinned.model_copy(update={"source": source})
    return plan_stages(pinned, crawl, {"conversations": "", "questions": ""})


def _rules(record: RunRecord, plans: Plans) -> dict[str, Sides]:
    """Return the rules of each stage that decides, in the run and in the recipe."""
    in_run = plans_of(record)
    try:
        before = {name: rules_of(name, in_run) for name in deciding_stages(in_run)}
    except ValidationError as error:
        raise PermanentError(
            f"The run {record.run} was made with a recipe that this version of Sluice does not understand: {error}. "
            "Run the recipe again, then ask."
        ) from error
    sides = {name: (rules, rules_of(name, plans) if name in plans else ()) for name, rules in before.items()}
    for name in sides.keys() - STAGES.keys():
        rules, after = sides[name]
        # Where the code has changed, the run's rules are known by what they decided.
        sides[name] = (rules or tuple(RecordedRule(rule.name) for rule in after), after)
    return sides


def _compared(record: RunRecord, plans: Plans, rules: Mapping[str, Sides]) -> tuple[list[Change], list[Change]]:
    """Return the fields that differ and that rules read, and the others; refuse a filter that measures otherwise."""
    read_by_rules: list[Change] = []
    others: list[Change] = []
    for name in dict.fromkeys([*_COMPARED, *deciding_stages(plans_of(record)), *deciding_stages(plans)]):
        run, asked = (plan[name].config if name in plan else {} for plan in (plans_of(record), plans))
        sides = rules.get(name, ((), ()))
        for path, before, after in differences(run, asked):
            was, now = _effective(path, before, sides[0]), _effective(path, after, sides[1])
            change = Change(stage=name, field=path, before=without_source(was), after=without_source(now))
            (read_by_rules if name in record.stages and is_read_by_rules(name, path) else others).append(change)
    fields = [change.field for change in others if change.stage == "filter"]
    if fields and record.stages["filter"].plan.version == plans["filter"].version:
        raise UsageError(
            f"filter.{fields[0]} decides what is measured, and the run {record.run} measured with another value: "
            "give it that run's value, or run this recipe."
        )
    return read_by_rules, others


def _effective(path: str, value: object, rules: Sequence[Rule]) -> object:
    """Return a field's value; of a threshold that is not given, the one that holds then."""
    return limits_of(rules).get(path.rpartition(".")[2]) if value is None and "thresholds." in path else value


def _decided_stages(store: Store, record: RunRecord, filtered: DatasetCount) -> list[str]:
    """Return the stages with rules that have decisions on every part that the filter has decided on."""
    needed = {part.name for part in filtered.parts}
    names = []
    for name in deciding_stages(plans_of(record)):
        folder = stage_decisions(record, name)
        missing = needed - set(store.names(folder))
        if missing and "filter" in names:
            break  # the run has not come so far
        names.append(name)
        if missing:
            raise PermanentError(
                f"The decisions {store.location(folder)}/{min(missing)} are not there: run the recipe of the run "
                f"{record.run} again to rebuild them."
            )
    return names


def _stage_decisions(store: Store, run: StagePlan, recipe: StagePlan | None, rules: Sides, part: str) -> StageDecisions:
    """Return a stage's decisions and rules; a stage that the recipe leaves out removes nothing any more."""
    folder = decisions_folder(run.name, run.fingerprint)
    there = set(column_names(store, f"{folder}/{part}"))
    version = recipe.version if recipe else None
    # The rules of another version of the filter are not known here, so none of their results is taken over.
    is_known = recipe is not None and (version == run.version or run.name != "filter")
    before, after = rules if is_known else ((), rules[1])
    reevaluation = Reevaluation(before if is_known else None, after)
    lacking = [rule for rule in reevaluation.rules if not there.issuperset(rule.columns)]
    if lacking and run.name == "filter":
        missing = min(set(lacking[0].columns) - there)
        older = f" (version {run.version} of the stage made them, this is version {version})"
        raise PermanentError(
            f"The rule {lacking[0].name} needs the signal {missing}, which the decisions in {store.location(folder)} "
            f"do not have{'' if run.version == version else older}. Run the recipe to measure it, or leave the "
            "rule out."
        )
    if lacking:
        after = tuple(rule for rule in after if rule not in lacking)
        reevaluation = Reevaluation(before, after)
    return StageDecisions(run.name, folder, before, after, reevaluation, tuple(rule.name for rule in lacking))
