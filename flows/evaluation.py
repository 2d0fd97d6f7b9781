"""evaluate: any model's folder asked the evaluation tasks, or a standard suite, outside a run.

Notable: the model half is started as a program, as in a run. Results go to a folder: result.json, and items.parquet
with a row for each item.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from rich.console import Console
from rich.table import Table

from flows.launch.configured_program import run_configured
from flows.launch.packages import require_packages
from flows.store.exported_model import run_on_model
from model.base.errors import BadInput
from model.base.safe_text import harmless
from model.evaluation.results import TaskResult
from model.evaluation.tasks.task import load_task, task_path
from tasks.base.errors import UsageError

_RESULTS = TypeAdapter(list[TaskResult])


def evaluate_folder(
    model: Path, tasks: Sequence[str], shots: Sequence[int], items: int, folder: Path
) -> list[TaskResult]:
    """Ask tasks of the model in a folder, and leave result.json and items.parquet in another.

    Raises `UsageError` for a wrong task, `PermanentError` with what the program said where it cannot.
    """
    require_packages("torch")
    try:
        for name in tasks:
            load_task(task_path(name))
    except BadInput as error:
        raise UsageError(str(error)) from error
    result = folder / "result.json"
    values: dict[str, Any] = {"model": str(model.absolute()), "result": str(result.absolute())}
    values |= {"items": str((folder / "items.parquet").absolute()), "tasks": list(tasks), "shots": list(shots)}
    run_configured("model.evaluate", folder / "config.json", values | {"task_items": items})
    return _RESULTS.validate_python(json.loads(result.read_text(encoding="utf-8"))["tasks"] or [])


def run_harness(model: Path, tasks: str, data: Path | None, shots: Sequence[int], items: int) -> int:
    """Run lm-evaluation-harness on the model in a folder, on this terminal; return its exit code."""
    require_packages("torch", "lm_eval")
    if len(shots) > 1:
        raise UsageError("The harness takes one number of shots at a time.")
    options = [f"--tasks={tasks}", *([f"--data={data}"] if data else []), *[f"--shots={number}" for number in shots]]
    return run_on_model("model.harness", model, [*options, *([f"--limit={items}"] if items else [])])


def print_results(console: Console, results: Sequence[TaskResult]) -> None:
    """Print a table of results, and after it what the model said to the first items."""
    table = Table()
    for name in ("task", "shots", "items", "metric", "value", "95% interval"):
        table.add_column(name, justify="left" if name in ("task", "metric") else "right")
    for result in results:
        head = [result.task, str(result.shots), f"{result.items:,}"]
        for measured in result.metrics:
            interval = f"{measured.low:.3g} to {measured.high:.3g}"
            table.add_row(*map(harmless, head), measured.metric, f"{measured.value:.4g}", interval)
            head = ["", "", ""]
    console.print(table)
    for result in results:
        for sample in result.samples[:1]:
            text = f"{result.task}: …{sample.prompt[-60:]!r} → {sample.said!r}"
            console.print(harmless(text), markup=False, highlight=False, soft_wrap=True)
