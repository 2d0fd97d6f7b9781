"""Tasks asked of a model, one after another: results for the report, and a row for each item in Parquet."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from model.base.full_disk import writing
from model.evaluation.results import Measured, TaskResult, TaskSample
from model.evaluation.tasks.asked_model import AskedModel
from model.evaluation.tasks.likelihood import likelihoods, text_likelihoods
from model.evaluation.tasks.prompts import FEWSHOT_SEED, Question, questions
from model.evaluation.tasks.scoring import ItemScore, choice_scores, compared, measured, text_score
from model.evaluation.tasks.task import MetricSpec, Task, load_task, task_path

ROWS = pa.schema(
    [
        ("task", pa.string()),
        ("shots", pa.int32()),
        ("item", pa.int32()),
        ("prompt", pa.string()),
        ("targets", pa.list_(pa.string())),
        ("answer", pa.string()),
        ("scores", pa.map_(pa.string(), pa.float64())),
        ("log_likelihoods", pa.list_(pa.float64())),
        ("contaminated", pa.bool_()),
    ]
)
"""A row for each item: what the model was shown and said, its score by metric, the log-likelihood of each choice."""
_SAMPLES = 3
_BITS = MetricSpec(metric="bits_per_byte")


@dataclass(frozen=True)
class Asking:
    """How tasks are asked."""

    tasks: Sequence[str]
    """Names of shipped tasks, or paths of YAML files."""
    shots: Sequence[int] = ()
    """Numbers of examples, each asked; empty: what the task says."""
    limit: int = 0
    """The first items of each task; 0: all."""
    seed: int = FEWSHOT_SEED
    """Of the draws of examples."""
    batch: int = 64
    """Texts of a pass, at most."""
    contaminated: Collection[str] = ()
    """The items that the corpus holds, as `task/number`."""


def run_tasks(model: AskedModel, asking: Asking, rows: Path | None) -> list[TaskResult]:
    """Ask every task and return the results, in order; the items' rows go to the Parquet file `rows`.

    Raises BadInput for a task that is wrong; all of them are read before the first is asked.
    """
    tasks = [load_task(task_path(name)) for name in asking.tasks]
    results, tables = [], [ROWS.empty_table()]
    for task in tasks:
        for shots in asking.shots or (task.spec.num_fewshot,):
            asked = list(questions(task, shots, asking.limit, asking.seed))
            items = list(_answered(model, task, asked, asking.batch))
            flags = [f"{task.name}/{number}" in asking.contaminated for number in range(len(asked))]
            results.append(_result(task, shots, asked, items, flags))
            tables.append(_rows(task, shots, asked, items, flags))
    if rows is not None:
        rows.parent.mkdir(parents=True, exist_ok=True)
        with writing(rows):
            pq.write_table(pa.concat_tables(tables), rows)
    return results


def _answered(model: AskedModel, task: Task, asked: Sequence[Question], batch: int) -> Iterator[ItemScore]:
    spec = task.spec
    if spec.output_type == "generate_until":
        options = spec.generation_kwargs
        room = model.context - options.max_gen_toks
        prompts = [[model.begin, *model.encode(question.context)][-max(1, room) :] for question in asked]
        stops = options.until or (spec.fewshot_delimiter,)
        for question, reply in zip(asked, model.replies(prompts, options.max_gen_toks, stops), strict=True):
            said = compared(spec, reply)
            yield ItemScore(reply, {one.metric: text_score(one, said, question.targets) for one in _metrics(task)})
    elif spec.output_type == "multiple_choice":
        yield from _chosen(model, spec.target_delimiter, asked, batch)
    else:
        targets = [question.targets[0] for question in asked]
        if spec.output_type == "loglikelihood_rolling":
            found = text_likelihoods(model, targets, batch)
        else:
            pairs = zip([question.context for question in asked], targets, strict=True)
            found = likelihoods(model, list(pairs), batch)
        for target, one in zip(targets, found, strict=True):
            scores = {"acc": float(one.is_greedy)}
            yield ItemScore("", scores, (one.nats,), len(target.encode()), one.nats)


def _chosen(model: AskedModel, delimiter: str, asked: Sequence[Question], batch: int) -> Iterator[ItemScore]:
    pairs = [(question.context, delimiter + choice) for question in asked for choice in question.choices]
    found = iter(likelihoods(model, pairs, batch))
    for question in asked:
        nats = tuple(next(found).nats for _ in question.choices)
        chosen = question.choices[max(range(len(nats)), key=nats.__getitem__)]
        size = len((delimiter + question.targets[0]).encode())
        scores = choice_scores(nats, question.choices, question.right)
        yield ItemScore(chosen, scores, nats, size, nats[question.right])


def _metrics(task: Task) -> tuple[MetricSpec, ...]:
    """Return what is measured: beside the task's metrics bits per byte of the right answer, which small models move."""
    metrics = tuple(metric for metric in task.spec.metrics if metric.metric != "bypass")
    has_bits = task.spec.output_type == "generate_until" or _BITS.metric in [one.metric for one in metrics]
    return metrics if has_bits else (*metrics, _BITS)


def _result(
    task: Task, shots: int, asked: Sequence[Question], items: Sequence[ItemScore], flags: Sequence[bool]
) -> TaskResult:
    def over(chosen: Sequence[int]) -> tuple[Measured, ...]:
        own = [items[number] for number in chosen]
        said = [compared(task.spec, item.answer) for item in own]
        targets = [asked[number].targets for number in chosen]
        return tuple(measured(metric, own, said, targets) for metric in _metrics(task))

    result = TaskResult(task.name, shots, len(items), over(range(len(items))), sum(flags))
    clean = [number for number, flag in enumerate(flags) if not flag]
    if any(flags) and clean:
        result = replace(result, clean_metrics=over(clean))
    if task.spec.output_type == "generate_until":
        shown = zip(asked[:_SAMPLES], items, strict=False)
        samples = tuple(TaskSample(one.context, item.answer, one.targets[0]) for one, item in shown)
        result = replace(result, samples=samples)
    return result


def _rows(
    task: Task, shots: int, asked: Sequence[Question], items: Sequence[ItemScore], flags: Sequence[bool]
) -> pa.Table:
    rows: list[dict[str, Any]] = [
        {
            "task": task.name,
            "shots": shots,
            "item": number,
            "prompt": question.context,
            "targets": list(question.targets),
            "answer": item.answer,
            "scores": list(item.scores.items()),
            "log_likelihoods": list(item.nats),
            "contaminated": flag,
        }
        for number, (question, item, flag) in enumerate(zip(asked, items, flags, strict=True))
    ]
    return pa.Table.from_pylist(rows, ROWS)
