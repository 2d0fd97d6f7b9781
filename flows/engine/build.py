"""From the plan to finished datasets: every stage, in order, as parts, as pairs of parts, or as a program."""

from collections.abc import Iterable, Sequence

from flows.engine.nothing_kept import require_documents
from flows.engine.part_pairs import build_pairs
from flows.engine.part_tasks import build_all
from flows.engine.programs import require_programs, run_program_stage
from flows.engine.run import Run
from flows.launch.training_command import require_launch
from flows.prepare.finished_dataset import finished_manifest
from flows.recipe.stage_plan import StagePlan
from flows.stages.program import ProgramStage
from tasks.base.errors import PermanentError
from tasks.dataset.manifest import read_manifest
from tasks.dataset.parts import PartFooter
from tasks.dataset.stage import Stage


def build_stages(run: Run, names: Iterable[str]) -> None:
    """Build what is missing of these stages' datasets, inside a flow run; those that the recipe has not are left out.

    A stage that runs with the one before it is built with it, part by part. Raises `PermanentError` after a stage that
    has kept no document; of synthetic data that is optional it only says so.
    """
    planned = [run.stage_called(name) for name in names if name in run.plans]
    require_programs(planned)
    if any(run.plans[stage.name].is_training for stage in planned):
        require_launch(run.recipe.launch, run.store)
    synthesis = run.recipe.synthesis
    tell_of_synthesis = run.logger.warning if synthesis and synthesis.optional else None
    following = {stage.runs_with: stage for stage in planned if stage.runs_with}
    for stage in planned:
        if stage.name not in run.manifests:
            _build(run, stage, following.get(stage.name))
        require_documents(stage, run.manifests, tell_of_synthesis)


def take_finished(run: Run, names: Iterable[str]) -> None:
    """Take the datasets of these stages from the store. Raises `PermanentError` for the first that is not there."""
    for name in names:
        if name not in run.plans:
            continue
        plan = run.plans[name]
        manifest = read_manifest(run.store, name, plan.fingerprint)
        if manifest is None:
            verb = "sluice pretrain" if plan.is_training else "sluice corpus"
            raise PermanentError(
                f"The store {run.store.url} has no finished {name} dataset for this recipe "
                f"({plan.fingerprint}): run `{verb}` with the same recipe first, or `sluice run` for all."
            )
        run.manifests[name] = manifest
        run.recorder.stage(name, state="done", parts_expected=len(manifest.parts))


def _build(run: Run, stage: Stage, following: Stage | None) -> None:
    if following:
        _build_pair(run, stage, following)
        return
    with run.stage(stage.name) as plan:
        if isinstance(stage, ProgramStage):
            footer, built = run_program_stage(run, stage)
            footers: Sequence[PartFooter] = [footer]
        else:
            footers, built = build_all(run, stage)
        _finish(run, plan, footers, built)


def _build_pair(run: Run, first: Stage, second: Stage) -> None:
    with run.stage(first.name) as plan, run.stage(second.name) as second_plan:
        footers, built = build_pairs(run, first, second)
        _finish(run, plan, [footer for footer, _ in footers], built)
        _finish(run, second_plan, [footer for _, footer in footers], built)


def _finish(run: Run, plan: StagePlan, footers: Sequence[PartFooter], built: int) -> None:
    """End a stage with its manifest over these parts, of which `built` are new."""
    run.recorder.stage(plan.name, parts_built=built)
    run.manifests[plan.name] = finished_manifest(run.store, plan, footers)
