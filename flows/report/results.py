"""The results of several runs in one table: what each model came to, with its 95% interval where it has one."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from flows.report.readers.evaluation import Evaluation, Scores
from flows.report.sections import Report
from flows.store.missing import Missing
from flows.store.run_record import RunRecord, newest_runs
from model.base.safe_text import harmless
from model.evaluation.intervals import wilson_interval
from tasks.base.errors import PermanentError
from tasks.dataset.store import Store

_NAME_WIDTH, _RUN_WIDTH = 30, 21
"""Characters of the terminal for what was measured, and for a run."""
_TIME = len("20261127T140647")


@dataclass(frozen=True)
class Value:
    """One result of one run."""

    value: float
    low: float | None = None
    high: float | None = None

    def differs(self, other: "Value") -> bool:
        """Return whether the intervals of both have no value in common, so that the difference is beyond noise."""
        if None in (self.low, self.high, other.low, other.high):
            return False
        return bool(self.high < other.low or other.high < self.low)  # type: ignore[operator]


@dataclass(frozen=True)
class RunResults:
    """A run's results."""

    run: str
    recipe: str
    values: dict[str, Value]
    """By what was measured, in the order of the report."""


def all_results(store: Store) -> list[RunResults]:
    """Return the results of the store's runs that evaluated a model, newest first, repeated ones once."""
    found, seen = [], set()
    for record in newest_runs(store):
        stage = record.stages.get("evaluate")
        if stage and stage.summary and stage.plan.fingerprint not in seen:
            seen.add(stage.plan.fingerprint)
            found.append(results_of(Report(store, record)))
    if not found:
        raise PermanentError(f"The store {store.url} holds no evaluation yet: `sluice run` makes one.")
    return found


def results_of(report: Report) -> RunResults:
    """Return what a run's report says in numbers."""
    record: RunRecord = report.record
    evaluation = report.evaluation
    values = {} if isinstance(evaluation, Missing) else dict(_values(evaluation))
    return RunResults(record.run, str(record.recipe.get("name")), values)


def stage_values(evaluation: Evaluation) -> dict[str, dict[str, Value]]:
    """Return what the model of each training stage came to: by what was measured, then by stage."""
    found: dict[str, dict[str, Value]] = {}
    for stage, scores in evaluation.stages.items():
        for name, value in _score_values(scores):
            found.setdefault(name, {})[stage] = value
    return found


def _values(evaluation: Evaluation) -> Iterator[tuple[str, Value]]:
    if evaluation.parameters:
        yield "parameters", Value(evaluation.parameters)
    yield from _score_values(evaluation)


def _score_values(scores: Scores) -> Iterator[tuple[str, Value]]:
    if scores.validation:
        yield "held-out bits per byte", Value(scores.validation.bits_per_byte)
        for one in (group for group in scores.validation.groups if group.kind == "language"):
            yield f"held-out bits per byte, {one.name}", Value(one.bits_per_byte)
    for group in scores.groups:
        if group.n:
            yield f"questions: {group.group}", Value(group.accuracy, *wilson_interval(group.right, group.n))
    for task in scores.tasks:
        for metric in task.metrics:
            name = f"{task.task}, {task.shots}-shot: {metric.metric}"
            yield name, Value(metric.value, metric.low, metric.high)


def print_all(console: Console, runs: Sequence[RunResults]) -> None:
    """Print a column for each run, the newest ones that the terminal has room for, and a row for each result."""
    shown = runs[: max(1, (console.width - _NAME_WIDTH) // _RUN_WIDTH)]
    table = Table()
    table.add_column("", max_width=_NAME_WIDTH)
    for run in shown:
        table.add_column(_heading(run), justify="right", overflow="fold")
    for name in dict.fromkeys(name for run in shown for name in run.values):
        cells = [run.values.get(name) for run in shown]
        table.add_row(harmless(name), *(_cell(cell) if cell else "" for cell in cells))
    console.print(table)
    if older := len(runs) - len(shown):
        console.print(f"and {older} older ones, for which this terminal is too narrow; --json lists all", markup=False)


def _heading(run: RunResults) -> str:
    """Return a run's name in two lines: its time to the second, and what comes after."""
    return harmless(run.run[:_TIME]) + "\n" + harmless(run.run[_TIME:])


def _cell(value: Value) -> str:
    number = f"{value.value:,.0f}" if value.value >= 1000 else f"{value.value:.4g}"
    return number if value.low is None else f"{number}\n({value.low:.3g} to {value.high:.3g})"
