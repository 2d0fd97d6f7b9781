"""The model half's programs as retried Prefect tasks, each resumed from where it was.

Notable: a program runs from the flow's main thread, in a process group of its own that dies with the flow, so neither
a cancelled nor a killed flow leaves a trainer behind. Its exit code decides whether it is tried again.
"""

import contextlib
import json
import os
import shutil
import sys
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from functools import wraps
from pathlib import Path
from threading import Event
from typing import Any

import pyarrow as pa
from prefect import get_run_logger
from prefect.states import Cancelled

from flows.engine.checkpoint_transfer import CheckpointTransfer
from flows.engine.launcher import run_program
from flows.engine.part_tasks import part_task
from flows.engine.run import Run
from flows.engine.training_progress import reporting_steps
from flows.launch.accelerate_command import LAUNCHER_FOLDER
from flows.launch.packages import require_packages
from flows.launch.training_command import training_command
from flows.prepare.finished_dataset import done_program
from flows.recipe.stage_plan import StagePlan
from flows.stages.program import RESULT, ProgramContext, ProgramStage
from flows.store.datasets import summary_of_part
from flows.store.training_log import TrainingStep
from model.base.launch_variables import launch_variables
from model.base.program import EXIT_BAD_INPUT, EXIT_DONE, EXIT_STOPPED, outcome_path
from model.checkpoints.folders import checkpoint_folders, step_of
from tasks.base.errors import PermanentError, TemporaryError
from tasks.dataset.manifest import part_path
from tasks.dataset.parts import PartFooter, PartWriter
from tasks.dataset.stage import Stage
from tasks.dataset.store import explaining_failed_writes
from tasks.workers.worker_process import WorkerDied

_LAST_LINES = 20


class TrainingDiverged(PermanentError):
    """A training whose loss stayed non-finite or far too high."""


def require_programs(stages: Iterable[Stage]) -> None:
    """Raise `PermanentError` where a program among these stages lacks a package: hours of the data half come first."""
    needed: list[str] = []
    for stage in stages:
        if isinstance(stage, ProgramStage):
            needed += ["torch", *(["accelerate"] if stage.is_training else [])]
    require_packages(*dict.fromkeys(needed))


def run_program_stage(run: Run, stage: ProgramStage) -> tuple[PartFooter, int]:
    """Run one program unless its output is there already; return its part and whether it was built (0 or 1)."""
    plan = run.plans[stage.name]
    run.recorder.stage(stage.name, parts_expected=1)
    footer, built = run_planned_program(run, stage, plan, f"{stage.name} {run.recipe.name} {run.crawl}")
    run.recorder.stage(stage.name, summary=read_summary(run, plan))
    return footer, built


def run_planned_program(run: Run, stage: ProgramStage, plan: StagePlan, label: str) -> tuple[PartFooter, int]:
    """Run one program as planned unless its output is there; return its part and whether it was built (0 or 1)."""
    context, inputs = run.program(plan)
    if footer := done_program(stage, context, inputs):
        return footer, 0
    _launch(run, stage, context, label)
    footer = _write_result(stage, context, inputs)
    if not stage.leaves_model:
        shutil.rmtree(context.model_folder(plan.name) / "checkpoints", ignore_errors=True)
    return footer, 1


def read_summary(run: Run, plan: StagePlan) -> dict[str, Any]:
    """Return what a finished program left, from its part."""
    return summary_of_part(run.store, part_path(plan.name, plan.fingerprint, 0))


def _launch(run: Run, stage: ProgramStage, context: ProgramContext, label: str) -> None:
    plan = context.plan
    values = stage.program_config(context)
    folder = context.model_folder(context.trained)
    is_remote = stage.leaves_model and not run.store.is_local
    if is_remote:
        for name in (name for name in (*plan.upstream, plan.name) if run.plans[name].is_training):
            _transfer(run, context, name).restore()
    config = folder / ("config.json" if stage.is_training else f"{plan.name}.json")
    with explaining_failed_writes(str(config)):
        config.parent.mkdir(parents=True, exist_ok=True)
        config.write_text(json.dumps(values, indent=1, sort_keys=True))
    metrics = folder / "metrics.jsonl" if stage.is_training and stage.shows_steps else None
    steps = plan.config["loop"]["steps"] if stage.is_training else 0
    command = [sys.executable, "-m", stage.module, str(config)]
    if stage.is_training:
        command = training_command(stage.module, config, run.recipe.launch, run.settings)
    sending = _transfer(run, context, plan.name).sending() if is_remote and stage.is_training else nullcontext()

    def on_step(step: TrainingStep) -> None:
        run.observers.tell(lambda one: one.trained(run.record, plan.name, step, steps))

    try:
        with sending:
            arguments = (command, config, metrics, plan.name, steps, label, on_step, run.stopping)
            _call_task(run_to_its_end, plan.name, arguments)
    finally:
        shutil.rmtree(folder / LAUNCHER_FOLDER, ignore_errors=True)
    if is_remote:
        run.store.upload_folder(folder, f"models/{folder.name}", leave=("checkpoints",))


def _call_task(function: Callable[..., None], name: str, arguments: Sequence[Any]) -> None:
    """Call a function as a task; one that is interrupted ends as cancelled, not as crashed, and the interrupt goes on.

    Called, not submitted: only in the flow's main thread does a cancellation arrive in time to save a checkpoint.
    """
    interrupts: list[BaseException] = []

    @wraps(function)
    def body(*given: Any) -> Any:
        try:
            return function(*given)
        except Exception:
            raise
        except BaseException as interrupt:
            interrupts.append(interrupt)
            return Cancelled(message="The run was cancelled.")

    state = part_task(body, name)(*arguments, return_state=True)
    for interrupt in interrupts:
        raise interrupt
    if not state.is_completed():
        state.result()


def _transfer(run: Run, context: ProgramContext, stage: str) -> CheckpointTransfer:
    return CheckpointTransfer(run.store, context.model_path(stage), context.model_folder(stage), run.logger)


def _write_result(stage: ProgramStage, context: ProgramContext, inputs: str) -> PartFooter:
    plan = context.plan
    row = {"stage": plan.name, "summary": json.dumps(stage.summary(context), sort_keys=True)}
    path = part_path(plan.name, plan.fingerprint, 0)
    with PartWriter(context.store, path, RESULT, plan.name, plan.part_fingerprint, inputs) as writer:
        writer.write(pa.Table.from_pylist([row], RESULT))
        return writer.commit({})


def run_to_its_end(
    command: list[str],
    config: Path,
    metrics: Path | None,
    stage: str,
    steps: int,
    label: str,
    on_step: Callable[[TrainingStep], None] = lambda step: None,
    stopping: Event | None = None,
) -> None:
    """Run a program to its end, its output going to the task's log and the newest step of `metrics` to `on_step`.

    A training that ended early but saved a new checkpoint is started again at once, however often: on machines that
    come and go, only tries that make no progress count as retries.

    Raises `PermanentError` for a wrong config or input, `TemporaryError` for anything else that another try, which
    resumes from the newest checkpoint, may get past.
    """
    while True:
        before = newest_checkpoint(config.parent)
        try:
            return _run_once(command, config, metrics, stage, steps, on_step, stopping)
        except TemporaryError as error:
            if newest_checkpoint(config.parent) <= before or (stopping is not None and stopping.is_set()):
                raise
            get_run_logger().warning("%s It saved a checkpoint and goes on from there.", error)


def newest_checkpoint(folder: Path) -> int:
    """Return the step of the newest checkpoint in a model's folder; 0 without one."""
    return max(map(step_of, checkpoint_folders(folder / "checkpoints")), default=0)


def _run_once(
    command: list[str],
    config: Path,
    metrics: Path | None,
    stage: str,
    steps: int,
    on_step: Callable[[TrainingStep], None],
    stopping: Event | None,
) -> None:
    logger = get_run_logger()
    outcome_path(config).unlink(missing_ok=True)
    last_lines: deque[str] = deque(maxlen=_LAST_LINES)

    def on_line(line: str) -> None:
        last_lines.append(line)
        logger.info(line)

    with reporting_steps(logger, metrics, stage, steps, on_step) if metrics else nullcontext():
        variables = {"TQDM_DISABLE": "1", **dict.fromkeys(launch_variables(os.environ))}
        code = run_program(command, on_line, env=variables, stopping=stopping)
    if stopping is not None and stopping.is_set():
        raise WorkerDied("stopped", None, f"{stage} was ended with its run")
    outcome: dict[str, Any] = {}
    with contextlib.suppress(OSError, ValueError):  # killed before it could say how it ended
        outcome = json.loads(outcome_path(config).read_text())
    said = outcome.get("exit_code")
    if code == EXIT_DONE and said in (None, EXIT_DONE):
        return
    if said == EXIT_BAD_INPUT:
        kind = TrainingDiverged if outcome.get("diverged") else PermanentError
        raise kind(f"{stage}: {outcome['message']}")
    if said == EXIT_STOPPED:
        raise TemporaryError(f"{stage} was asked to stop and saved a checkpoint; run again to go on from it.")
    output = "\n".join(last_lines)
    if code in (126, 127) or "ModuleNotFoundError" in output:
        raise PermanentError(f"{stage} cannot be started. Its last lines:\n{output}")
    raise TemporaryError(f"{stage} ended with code {code}. Its last lines:\n{output}")
