"""How a run begins and ends.

Notable: opening a run does what must be known before any stage can be named: it makes the synthetic web if the recipe
asks for one, resolves `latest`, and takes the digests of the chat files. From there on all is planned.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import xxhash
from prefect import get_run_logger
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.exceptions import ObjectNotFound
from prefect.runtime import flow_run
from prefect.states import Crashed

from flows.engine.mixed_corpora import pin_mixture, refuse_own_corpus
from flows.engine.run import Logger, Run, synthetic_web_folder, working_folder
from flows.recipe.named_files import MADE_BY_THE_RUN, chat_files, require_named_files
from flows.recipe.recipe import Recipe
from flows.recipe.settings import RunSettings
from flows.report.page import write_report
from flows.stages.plan import plan_stages
from flows.store.run_record import Recorder, mark_interrupted, newest_runs
from tasks.base.processes import this_process
from tasks.dataset.data_files import pin_data_files
from tasks.dataset.leases import Holder, Leases
from tasks.dataset.store import Store
from tasks.fetch.crawl_listing import SourceConfig, resolve_crawl
from tasks.synthetic_web.chat_data import QUESTIONS_FILE, TRAIN_FILE
from tasks.synthetic_web.generation import generate_synthetic_web
from tasks.synthetic_web.starter_chat import write_starter_chat


@contextmanager
def open_run(recipe: Recipe, settings: RunSettings, goes_on: bool = False) -> Iterator[Run]:
    """Begin a run and write, at the end, how it ended. Must be called inside a Prefect flow.

    For a run that `goes_on` from a corpus in the store, `latest` is the crawl of the recipe's newest run there.
    """
    require_named_files(recipe, settings)
    logger = get_run_logger()
    store = Store(settings.store)
    recipe_of_store = pin_data_files(recipe, store)
    source = recipe_of_store.source
    if recipe.synthetic_web:
        folder = synthetic_web_folder(store, settings)
        web = generate_synthetic_web(folder, recipe.synthetic_web)
        source = source.model_copy(update={"base": str(folder), "crawl": web.crawl, "warcs": "all"})
    source = source.model_copy(update={"crawl": _crawl(recipe, source, store, goes_on, logger)})
    _name_flow_run(recipe.source.crawl, source.crawl)
    chat = _chat_files(recipe, store, settings)
    digests = {name: xxhash.xxh3_128_hexdigest(path.read_bytes()) for name, path in chat.items()}
    pinned = pin_mixture(recipe_of_store.model_copy(update={"source": source}), store)
    plans = plan_stages(pinned, source.crawl, digests)
    refuse_own_corpus(plans)
    recorder = Recorder.start(recipe.model_dump(mode="json"), source.crawl, settings, plans)
    logger.info("run %s in %s", recorder.record.run, store.url)
    holder = Holder(run=recorder.record.run, process=this_process(), flow_run=flow_run.get_id())
    try:
        with Leases(store, holder, partial(_mark_killed, store, logger)) as leases:
            yield Run(recipe, settings, store, source, plans, chat, recorder, leases, logger)
    except BaseException as error:
        recorder.finish(error)
        raise
    else:
        recorder.finish()
    finally:
        _publish_report(store, recorder, logger)


def _crawl(recipe: Recipe, source: SourceConfig, store: Store, goes_on: bool, logger: Logger) -> str:
    """Return the crawl's name; a run that goes on stays with the crawl that was the latest when it began."""
    if source.crawl != "latest":
        return source.crawl
    before = next((record.crawl for record in newest_runs(store) if record.recipe.get("name") == recipe.name), None)
    if goes_on and before:
        return before
    crawl = resolve_crawl(source)
    if before and before != crawl:
        logger.warning("latest is %s now; the newest run of %s was on %s", crawl, recipe.name, before)
    return crawl


def _name_flow_run(asked: str, crawl: str) -> None:
    """Put the crawl's name, known only now, into the flow run's name."""
    identity, name = flow_run.get_id(), flow_run.get_name()
    if identity and name and asked != crawl:
        with get_client(sync_client=True) as client:
            client.update_flow_run(UUID(identity), name=name.replace(asked, crawl, 1))


def _mark_killed(store: Store, logger: Logger, holder: Holder) -> None:
    """Say of a run that left a dataset unfinished, in its record and to Prefect, that it runs no more."""
    logger.warning("%s ended without a word; going on from what it finished", holder.in_words)
    mark_interrupted(store, holder.run)
    if not holder.flow_run:
        return
    with get_client(sync_client=True) as client, suppress(ObjectNotFound):  # it ran under another server
        identity = UUID(holder.flow_run)
        state = client.read_flow_run(identity).state
        if state and not state.is_final():
            message = f"{holder.in_words} ended without a word; another run has taken over its work."
            crashed: State[Any] = Crashed(message=message)
            client.set_flow_run_state(identity, crashed, force=True)


def _publish_report(store: Store, recorder: Recorder, logger: Logger) -> None:
    """Write the report of a run that is over; a failure here does not fail the run."""
    try:
        logger.info("report: %s", store.location(write_report(store, recorder.record)))
    except Exception:
        logger.exception("The report could not be written; `sluice report` tries again.")


def _chat_files(recipe: Recipe, store: Store, settings: RunSettings) -> dict[str, Path]:
    """Return the local paths of the conversations and the questions that the recipe names."""
    made_by_the_web = {"conversations": TRAIN_FILE, "questions": QUESTIONS_FILE}
    files: dict[str, Path] = {}
    for field, name in chat_files(recipe).items():
        kind = field.rpartition(".")[2]
        if name == "synthetic_web":
            files[kind] = synthetic_web_folder(store, settings) / made_by_the_web[kind]
        elif name in MADE_BY_THE_RUN[field]:
            files[kind] = working_folder(store, settings) / "chat" / "starter.jsonl"
            write_starter_chat(files[kind])
        else:
            files[kind] = Path(name).resolve()
    return files
