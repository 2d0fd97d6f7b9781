"""Two runs side by side on one page: their numbers, what differs in their recipes, what both models say."""

from flows.report.page import environment
from flows.report.results import results_of
from flows.report.sections import Report
from flows.store.missing import Missing
from flows.store.run_record import RunRecord, newest_runs
from tasks.base.errors import UsageError
from tasks.base.fingerprint import differences
from tasks.dataset.store import Store

_REPLIES = 12


def write_comparison(store: Store, first: RunRecord, second: RunRecord) -> str:
    """Write the page that compares two runs to the store; return its path there."""
    reports = Report(store, first), Report(store, second)
    results = [results_of(report) for report in reports]
    names = dict.fromkeys(name for one in results for name in one.values)
    path = f"reports/{first.run}-beside-{second.run}.html"
    page = (
        environment(reports[0].drawn)
        .get_template("comparison.html.j2")
        .render(
            reports=reports,
            results=results,
            names=list(names),
            changes=differences(first.recipe, second.recipe),
            replies=_replies(*reports),
            samples=_samples(*reports),
        )
    )
    store.write_bytes(path, page.encode())
    return path


def named_run(store: Store, name: str) -> RunRecord:
    """Return the newest run with this name, or of the recipe with this name. Raises `UsageError` without one."""
    for record in newest_runs(store):
        if name in (record.run, record.recipe.get("name")):
            return record
    raise UsageError(f"The store {store.url} has no run {name!r}: `sluice results` lists them.")


def _replies(first: Report, second: Report) -> list[tuple[object, object]]:
    """Return the replies of both to the same questions, those first of which one alone is right."""
    if isinstance(first.evaluation, Missing) or isinstance(second.evaluation, Missing):
        return []
    others = {reply.id: reply for reply in second.evaluation.replies}
    pairs = [(reply, others[reply.id]) for reply in first.evaluation.replies if reply.id in others]
    return sorted(pairs, key=lambda pair: pair[0].right == pair[1].right)[:_REPLIES]


def _samples(first: Report, second: Report) -> list[tuple[object, object]]:
    """Return what both said to the same items of the tasks."""
    if isinstance(first.evaluation, Missing) or isinstance(second.evaluation, Missing):
        return []
    others = {
        (task.task, task.shots, sample.prompt): sample for task in second.evaluation.tasks for sample in task.samples
    }
    return [
        (sample, others[key])
        for task in first.evaluation.tasks
        for sample in task.samples
        if (key := (task.task, task.shots, sample.prompt)) in others
    ]
