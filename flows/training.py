"""pretrain and finetune: the model half's programs as retried Prefect tasks, each resumed from where it was.

Notable: a program runs from the flow's main thread, in a process group of its own that dies with the flow, so neither
a cancelled nor a killed flow leaves a trainer behind. What it exits with decides whether another try makes sense.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pyarrow as pa
from prefect import flow, get_run_logger

from flows.corpus import DATA_STAGES, finish_dataset
from flows.engine.checkpoint_transfer import CheckpointTransfer
from flows.engine.launcher import run_program
from flows.engine.part_tasks import part_task
from flows.engine.program_stages import PROGRAMS, export_path, last_trained, model_folder, model_path
from flows.engine.run import Run, open_run
from flows.recipe.recipe import Recipe
from flows.recipe.settings import RunSettings
from flows.recipe.stage_plan import StagePlan
from model.base.program import EXIT_BAD_INPUT, EXIT_DONE, EXIT_STOPPED, outcome_path
from tasks.base.errors import PermanentError, TemporaryError
from tasks.base.fingerprint import digest
from tasks.dataset.manifest import part_path, read_manifest
from tasks.dataset.parts import PartFooter, PartWriter, read_footer, read_part
from tasks.dataset.store import explaining_full_disk

RESULT = pa.schema([("stage", pa.string()), ("summary", pa.string())])
"""The one row of a program stage's dataset: what it left, as JSON."""
_LAST_LINES = 20
_REPORT_SECONDS = 2.0
_TAIL_BYTES = 4096


@flow(name="pretrain", flow_run_name="{recipe.name}: {recipe.source.crawl} pretrain", persist_result=False)
def pretrain(recipe: Recipe, settings: RunSettings = RunSettings()) -> dict[str, Any]:
    """Pretrain on the corpus that is in the store, or go on from the newest checkpoint; returns the final losses."""
    with open_run(recipe, settings, goes_on=True) as run:
        take_finished(run, [name for name in DATA_STAGES if name in run.plans])
        return run_program_stage(run, "pretrain")


@flow(name="finetune", flow_run_name="{recipe.name}: {recipe.source.crawl} finetune", persist_result=False)
def finetune(recipe: Recipe, settings: RunSettings = RunSettings()) -> dict[str, Any]:
    """Finetune the pretrained model, judge it and export it; returns the evaluation."""
    with open_run(recipe, settings, goes_on=True) as run:
        take_finished(run, [*(name for name in DATA_STAGES if name in run.plans), "pretrain"])
        return finish_model(run)


def finish_model(run: Run) -> dict[str, Any]:
    """Everything after pretraining, inside a flow run: finetuning, evaluation, export, where the recipe has them."""
    if "sft" in run.plans:
        run_program_stage(run, "sft")
    found = run_program_stage(run, "evaluate")
    if "export" in run.plans:
        run_program_stage(run, "export")
    return found


def run_program_stage(run: Run, name: str) -> dict[str, Any]:
    """Run one program, unless what it makes is there already; returns its summary."""
    _require_section(run, name)
    with run.stage(name) as plan:
        run.recorder.stage(name, parts_expected=1)
        inputs = digest({stage: run.manifests[stage].digest for stage in plan.upstream})
        footer = read_footer(run.store, part_path(name, plan.fingerprint, 0))
        done = footer and footer.matches(name, plan.fingerprint, inputs) and _output_exists(run, plan)
        if footer is None or not done:
            _launch_program(run, plan)
            footer = _write_result(run, plan, inputs)
        run.manifests[name] = finish_dataset(run, plan, [footer], built=0 if done else 1)
        summary = read_summary(run, plan)
        run.recorder.stage(name, summary=summary)
        return summary


def _require_section(run: Run, name: str) -> None:
    if name not in run.plans:
        raise PermanentError(f"The recipe {run.recipe.name!r} has no section {name!r}: add one or run `sluice corpus`.")


def read_summary(run: Run, plan: StagePlan) -> dict[str, Any]:
    """What a finished program stage left, from its part."""
    (table,) = read_part(run.store, part_path(plan.name, plan.fingerprint, 0))
    return dict(json.loads(table["summary"][0].as_py()))


def launch_command(module: str, config: Path, is_training: bool, settings: RunSettings) -> list[str]:
    """The command line that starts a program: training goes through accelerate, the rest is one process."""
    if not is_training:
        return [sys.executable, "-m", module, str(config)]
    launcher = [sys.executable, "-m", "accelerate.commands.launch"]
    if settings.accelerate_config:
        launcher += ["--config_file", settings.accelerate_config]
    else:
        launcher += ["--num_machines", "1", "--num_processes", str(settings.processes), "--mixed_precision", "no"]
        launcher += ["--dynamo_backend", "no", *(["--multi_gpu"] if settings.processes > 1 else [])]
    return [*launcher, "-m", module, str(config)]


def run_to_its_end(command: list[str], config: Path, metrics: Path | None, stage: str, steps: int, label: str) -> None:
    """Run a program to its end, its output going to the task's log.

    A training that broke off after it had saved a new checkpoint is started again at once, however often: on machines
    that come and go, only tries that lead nowhere are to be counted.

    Raises `PermanentError` for a wrong config or input, `TemporaryError` for anything else that another try, which
    resumes from the newest checkpoint, may get past.
    """
    while True:
        before = newest_checkpoint(config.parent)
        try:
            return _run_once(command, config, metrics, stage, steps)
        except TemporaryError as error:
            if newest_checkpoint(config.parent) <= before:
                raise
            get_run_logger().warning("%s It has saved a checkpoint, and goes on from there.", error)


def newest_checkpoint(folder: Path) -> int:
    """Steps of training that the newest checkpoint of a model's folder holds; 0 without one."""
    names = (path.name.removeprefix("step-") for path in folder.glob("checkpoints/step-*"))
    return max((int(name) for name in names if name.isdigit()), default=0)


def _run_once(command: list[str], config: Path, metrics: Path | None, stage: str, steps: int) -> None:
    logger = get_run_logger()
    outcome_path(config).unlink(missing_ok=True)
    last_lines: deque[str] = deque(maxlen=_LAST_LINES)

    def on_line(line: str) -> None:
        last_lines.append(line)
        logger.info(line)

    with _reporting_steps(logger, metrics, stage, steps):
        code = run_program(command, on_line, env=training_environment())
    outcome = _outcome(config)
    if code == EXIT_DONE and (outcome is None or outcome["exit_code"] == EXIT_DONE):
        return
    said = "\n".join(last_lines)
    if outcome and outcome["exit_code"] == EXIT_BAD_INPUT:
        raise PermanentError(f"{stage}: {outcome['message']}")
    if outcome and outcome["exit_code"] == EXIT_STOPPED:
        raise TemporaryError(f"{stage} was asked to stop and saved a checkpoint; run again to go on from it.")
    raise TemporaryError(f"{stage} ended with code {code}. Its last words:\n{said}")


def training_environment() -> dict[str, str]:
    """The environment of a program of the model half: its lines come at once, and no bars among them."""
    return {"PYTHONUNBUFFERED": "1", "TQDM_DISABLE": "1", **os.environ}


@contextmanager
def _reporting_steps(logger: Any, metrics: Path | None, stage: str, steps: int) -> Iterator[None]:
    """Tell the log how far training is, from the metrics file, every few seconds while the block runs."""
    ended = threading.Event()

    def report() -> None:
        while not ended.wait(_REPORT_SECONDS):
            newest = _newest_step(metrics) if metrics else None
            if newest:
                known = {"stage": stage, "done": newest["step"], "total": steps}
                logger.info("%s: step %d of %d, loss %.3f", stage, newest["step"], steps, newest["loss"], extra=known)

    reporter = threading.Thread(target=report, name=f"{stage} progress", daemon=True)
    reporter.start()
    try:
        yield
    finally:
        ended.set()
        reporter.join()


def _newest_step(metrics: Path) -> dict[str, Any] | None:
    """The last whole step line of a metrics log, read from its end."""
    try:
        with metrics.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - _TAIL_BYTES))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return None
    for line in reversed(lines):
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict) and event.get("event") == "step":
            return event
    return None


def take_finished(run: Run, stages: Sequence[str]) -> None:
    """Take the datasets of earlier stages from the store. Raises `PermanentError` for the first that is not there."""
    for name in stages:
        _require_section(run, name)
        manifest = read_manifest(run.store, name, run.plans[name].fingerprint)
        if manifest is None:
            verb = "sluice pretrain" if name == "pretrain" else "sluice corpus"
            raise PermanentError(
                f"The store {run.store.url} has no finished {name} dataset for this recipe "
                f"({run.plans[name].fingerprint}): run `{verb}` with the same recipe first, or `sluice run` for all."
            )
        run.manifests[name] = manifest
        run.recorder.stage(name, state="done", parts_expected=len(manifest.parts))


def _launch_program(run: Run, plan: StagePlan) -> None:
    program = PROGRAMS[plan.name]
    values = program.config(run, plan)
    folder = model_folder(run, plan.name if program.is_training else last_trained(run))
    for stage in (stage for stage in ("pretrain", "sft") if stage in run.plans and not run.store.is_local):
        _transfer(run, stage).restore()
    config = folder / ("config.json" if program.is_training else f"{plan.name}.json")
    with explaining_full_disk(str(config)):
        config.parent.mkdir(parents=True, exist_ok=True)
        config.write_text(json.dumps(values, indent=1, sort_keys=True))
    metrics = folder / "metrics.jsonl" if program.is_training else None
    steps = plan.config["loop"]["steps"] if program.is_training else 0
    command = launch_command(program.module, config, program.is_training, run.settings)
    # Called, not submitted: only the flow's main thread hears of a cancellation in time to save a checkpoint.
    label = f"{plan.name} {run.recipe.name} {run.crawl}"
    with _transfer(run, plan.name).sending() if program.is_training and not run.store.is_local else nullcontext():
        part_task(run_to_its_end, plan.name)(command, config, metrics, plan.name, steps, label)
    if not run.store.is_local:
        run.store.upload_folder(folder, f"models/{folder.name}", leave=("checkpoints",))


def _transfer(run: Run, stage: str) -> CheckpointTransfer:
    return CheckpointTransfer(run.store, model_path(run, stage), model_folder(run, stage), run.logger)


def _write_result(run: Run, plan: StagePlan, inputs: str) -> PartFooter:
    summary = PROGRAMS[plan.name].summary(run, plan)
    row = {"stage": plan.name, "summary": json.dumps(summary, sort_keys=True)}
    path = part_path(plan.name, plan.fingerprint, 0)
    with PartWriter(run.store, path, RESULT, plan.name, plan.fingerprint, inputs) as writer:
        writer.write(pa.Table.from_pylist([row], RESULT))
        return writer.commit({})


def _output_exists(run: Run, plan: StagePlan) -> bool:
    """Whether what a finished stage speaks of is still there, and no other export in its place."""
    if plan.name != "export":
        stage = plan.name if PROGRAMS[plan.name].is_training else last_trained(run)
        return run.store.exists(model_path(run, stage))
    try:
        report = json.loads(run.store.read_bytes(f"{export_path(run)}/export_report.json"))
    except (OSError, ValueError):
        return False
    return bool(report.get("identity") == plan.fingerprint)


def _outcome(config: Path) -> dict[str, Any] | None:
    """What the program wrote of its end; None where it was killed before it could."""
    try:
        return dict(json.loads(outcome_path(config).read_text()))
    except (OSError, ValueError):
        return None
