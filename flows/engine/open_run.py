"""How a run begins and ends."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect import get_run_logger
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.exceptions import ObjectNotFound
from prefect.runtime import flow_run
from prefect.states import Crashed

from flows.engine.cancellation import CancellationWatch
from flows.engine.run import Run
from flows.engine.task_runner import part_submission
from flows.monitoring.events import Events
from flows.monitoring.lineage import lineage_observers
from flows.monitoring.observer import Observer, Observers
from flows.monitoring.outcome_artifacts import publish_outcome
from flows.monitoring.progress_artifacts import ProgressArtifacts
from flows.monitoring.prometheus import PrometheusFile
from flows.monitoring.told_errors import tell_in_sentences
from flows.prepare.planned_run import Logger, plan_run
from flows.recipe.named_files import named_paths, require_named_files
from flows.recipe.own_code import own_code
from flows.recipe.recipe import Recipe
from flows.recipe.settings import RunSettings
from flows.report.page import write_report
from flows.report.sections import Report
from flows.store.run_record import Recorder, RunRecord, is_called_running, mark_interrupted, newest_run_of
from flows.store.why import what_changed
from tasks.dataset.leases import Holder, Leases
from tasks.dataset.store import Store


@contextmanager
def open_run(recipe: Recipe, settings: RunSettings, goes_on: bool = False) -> Iterator[Run]:
    """Begin a run and write, at the end, how it ended. Must be called inside a Prefect flow.

    For a run that `goes_on` from a corpus in the store, `latest` is the crawl of the recipe's newest run there.
    """
    tell_in_sentences()
    with CancellationWatch() as watch:
        require_named_files(recipe, settings)
        logger = get_run_logger()
        _warn_of_foreign_parts(recipe, logger)
        planned = plan_run(recipe, settings, goes_on, logger)
        before = newest_run_of(planned.store, recipe.name)
        if before:
            for line in what_changed(before, planned.plans):
                logger.info("since run %s %s", before.run, line)
            if before.process.is_gone:
                _mark_killed(planned.store, logger, before.holder)
        _remove_abandoned(planned.store)
        _name_flow_run(recipe.source.crawl, planned.crawl)
        recorder = Recorder.start(
            flow_run.get_flow_name() or "",
            recipe.model_dump(mode="json"),
            planned.crawl,
            settings,
            planned.plans,
            flow_run.get_id(),
        )
        logger.info("run %s in %s", recorder.record.run, planned.store.url)
        with (
            part_submission(settings) as submit,
            Leases(planned.store, recorder.record.holder, partial(_mark_killed, planned.store, logger)) as leases,
        ):
            observers = Observers(_observers(settings), logger)
            run = Run(**vars(planned), recorder=recorder, leases=leases, submit=submit, observers=observers)
            watch.on_look = lambda: observers.tell(lambda one: one.beat(run.record))
            observers.tell(lambda one: one.run_began(run.record))
            with _ending(run, before):
                yield run


@contextmanager
def _ending(run: Run, before: RunRecord | None) -> Iterator[None]:
    """Write how the run ended, and show it."""
    try:
        try:
            yield
        except Exception as error:
            run.recorder.finish(error)
            _publish_report(run, before)
            raise
        run.recorder.finish()
        _publish_report(run, before)
    except BaseException as error:
        if not isinstance(error, Exception):
            # Cancelled or interrupted, perhaps in the report: nobody waits for what still runs, nor for a report.
            run.stopping.set()
            run.recorder.finish(error)
        raise
    finally:
        run.observers.tell(lambda one: one.run_ended(run.record))


def _observers(settings: RunSettings) -> list[Observer]:
    metrics = [PrometheusFile(Path(settings.metrics_folder))] if settings.metrics_folder else []
    return [ProgressArtifacts(), Events(), *metrics, *lineage_observers()]


def _warn_of_foreign_parts(recipe: Recipe, logger: Logger) -> None:
    """Log what the recipe reads from elsewhere, and whose code it runs."""
    for field, address in named_paths(recipe):
        if field != "source.base":
            logger.info("the recipe reads %s (%s)", address, field)
    for field, name in own_code(recipe):
        logger.warning("the recipe runs code of %s (%s)", name, field)


def _remove_abandoned(store: Store) -> None:
    below = [f"{kind}/{name}" for kind in ("models", "tokenizers") for name in store.names(kind)]
    for written in ("runs", "reports", "files", *below):
        store.remove_abandoned(written)


def _name_flow_run(asked: str, crawl: str) -> None:
    """Put the crawl's name, known only now, into the flow run's name."""
    identity, name = flow_run.get_id(), flow_run.get_name()
    if identity and name and asked != crawl:
        with get_client(sync_client=True) as client:
            client.update_flow_run(UUID(identity), name=name.replace(asked, crawl, 1))


def _mark_killed(store: Store, logger: Logger, holder: Holder) -> None:
    """Say of a run whose process is gone, to Prefect and in its record, that it runs no more."""
    if not is_called_running(store, holder.run):
        return
    logger.warning("%s ended without a word; going on from what it finished", holder.in_words)
    if holder.flow_run:
        _mark_crashed(UUID(holder.flow_run), holder.in_words)
    # Last: where Prefect does not answer, the next run tells it, or the dead one would keep its deployment's place.
    mark_interrupted(store, holder.run)


def _mark_crashed(identity: UUID, words: str) -> None:
    with get_client(sync_client=True) as client, suppress(ObjectNotFound):  # it ran under another server
        state = client.read_flow_run(identity).state
        if state and not state.is_final():
            message = f"{words} ended without a word; another run has taken over its work."
            crashed: State[Any] = Crashed(message=message)
            client.set_flow_run_state(identity, crashed, force=True)


def _publish_report(run: Run, before: RunRecord | None) -> None:
    """Write the report of a run that is over, and show it in Prefect; a failure here does not fail the run.

    Where nothing was new, the report is that of the run before, whose artifacts still stand.
    """
    report = Report(run.store, run.record)
    try:
        if before and before.is_repeated_by(run.record) and run.store.exists(before.report):
            run.store.write_bytes(run.record.report, run.store.read_bytes(before.report))
            run.logger.info("nothing was new; the report is that of run %s", before.run)
            return
        run.logger.info("report: %s", run.store.location(write_report(run.store, run.record, report)))
    except Exception:
        run.logger.exception("The report could not be written; `sluice report` tries again.")
    try:
        publish_outcome(run.store, report)
    except Exception:
        run.logger.exception("Prefect's artifacts of the outcome could not be made; the report has the same.")
