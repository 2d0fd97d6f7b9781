"""The verbs that run a flow: run, corpus, ablate, pretrain, finetune, ladder, tune."""

import logging
import os
import pkgutil
import signal
from collections.abc import Mapping
from contextlib import ExitStack
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.terminal import (
    JsonOption,
    RecipeArgument,
    SetOption,
    StoreOption,
    messages,
    open_store,
    output,
    print_json,
    print_text,
    working_on,
)
from flows.launch.packages import require_packages
from tasks.base.errors import TemporaryError

if TYPE_CHECKING:
    from flows.recipe.recipe import Recipe
    from flows.recipe.settings import RunSettings

verbs = typer.Typer()

WorkersOption = Annotated[
    int | None, typer.Option("--workers", min=1, help="Parts worked on at once; default: the cores.")
]
WorkerMemoryOption = Annotated[
    float | None, typer.Option("--worker-memory", min=0.1, help="GiB at which a worker is ended; default: 4.")
]
ProcessesOption = Annotated[int, typer.Option("--processes", min=1, help="Training processes, usually one a GPU.")]
NoWaitOption = Annotated[
    bool, typer.Option("--no-wait", help="End where another run is building on the store what this one needs.")
]
MetricsOption = Annotated[
    str | None, typer.Option("--metrics", help="Folder for a file of metrics that Prometheus' node_exporter reads.")
]
UntilOption = Annotated[
    str | None, typer.Option("--until", help="The last stage to build, such as filter; a later run goes on from there.")
]
AccelerateOption = Annotated[str | None, typer.Option("--accelerate", help="An accelerate config file for training.")]


@verbs.command()
def run(
    recipe: RecipeArgument = "demo",
    store: StoreOption = "./store",
    overrides: SetOption = None,
    workers: WorkersOption = None,
    worker_memory: WorkerMemoryOption = None,
    processes: ProcessesOption = 1,
    accelerate: AccelerateOption = None,
    until: UntilOption = None,
    no_wait: NoWaitOption = False,
    metrics: MetricsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Crawl to chat model; without a recipe, the offline demo."""
    settings: dict[str, object] = {"store": store, "workers": workers, "worker_memory_gib": worker_memory}
    settings |= {"processes": processes, "accelerate_config": accelerate, "until": until}
    settings |= {"when_busy": "refuse" if no_wait else None, "metrics_folder": metrics}
    _run_flow("crawl-to-chat", "flows.chat:crawl_to_chat", recipe, overrides, settings, as_json)


@verbs.command()
def corpus(
    recipe: RecipeArgument,
    store: StoreOption = "./store",
    overrides: SetOption = None,
    workers: WorkersOption = None,
    worker_memory: WorkerMemoryOption = None,
    until: UntilOption = None,
    no_wait: NoWaitOption = False,
    metrics: MetricsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Crawl to packed tokens; to the corpus where the recipe's tokenizer is null."""
    settings: dict[str, object] = {"store": store, "workers": workers, "worker_memory_gib": worker_memory}
    settings |= {"until": until, "when_busy": "refuse" if no_wait else None, "metrics_folder": metrics}
    _run_flow("corpus", "flows.corpus:crawl_to_corpus", recipe, overrides, settings, as_json)


def _training_settings(
    store: str, processes: int, accelerate: str | None, no_wait: bool, metrics: str | None
) -> dict[str, object]:
    """Return what a verb that trains on what is in the store gives its flow."""
    settings: dict[str, object] = {"store": store, "processes": processes, "accelerate_config": accelerate}
    return settings | {"when_busy": "refuse" if no_wait else None, "metrics_folder": metrics}


def _training_verb(name: str, flow: str, words: str) -> None:
    """Add a verb that trains on what is in the store."""

    @verbs.command(name, help=words)
    def verb(
        recipe: RecipeArgument,
        store: StoreOption = "./store",
        overrides: SetOption = None,
        processes: ProcessesOption = 1,
        accelerate: AccelerateOption = None,
        no_wait: NoWaitOption = False,
        metrics: MetricsOption = None,
        as_json: JsonOption = False,
    ) -> None:
        settings = _training_settings(store, processes, accelerate, no_wait, metrics)
        _run_flow(name, flow, recipe, overrides, settings, as_json)


@verbs.command()
def ablate(
    first: RecipeArgument,
    second: RecipeArgument,
    store: StoreOption = "./store",
    tasks: Annotated[
        str | None, typer.Option(help="Likelihood tasks, by commas; default: the first recipe's, else shipped ones.")
    ] = None,
    seeds: Annotated[int, typer.Option(min=3, help="Models of each corpus.")] = 3,
    tokens: Annotated[int, typer.Option(min=0, help="Of each model; 0: a quarter of the smaller corpus.")] = 0,
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Which of two recipes' corpora makes the better small model, beyond noise; both are in the store."""
    require_packages("torch", "accelerate", "prefect")
    import dataclasses

    from flows.ablation.corpora import corpus_of
    from flows.ablation.table import print_verdict
    from flows.ablation.trials import AblationSettings
    from flows.ablation.trials import ablate as compare
    from flows.prepare.required_sections import require_pretraining
    from flows.recipe.loading import load_recipe
    from flows.recipe.settings import RunSettings
    from flows.store.working_folder import working_folder

    place, recipes = open_store(store), [load_recipe(name, overrides or ()) for name in (first, second)]
    section = require_pretraining(recipes[0])
    names = tasks.split(",") if tasks else recipes[0].evaluate.tasks or ("general_knowledge", "completion")
    folder = working_folder(place, RunSettings.model_validate({"store": store}).scratch) / "ablations"
    sides = [corpus_of(recipe, place) for recipe in recipes]
    settings = AblationSettings(section, seeds, tokens, tuple(names), folder)
    found = compare(sides[0], sides[1], settings, lambda words: messages.print(words, highlight=False))
    if as_json:
        print_json(dataclasses.asdict(found) | {"words": found.words})
    else:
        print_verdict(output, (sides[0].name, sides[1].name), found)


_training_verb("pretrain", "flows.training:pretrain", "Pretrain on a corpus that is in the store.")
_training_verb("finetune", "flows.training:finetune", "Finetune the pretrained model, evaluate it and export it.")
_training_verb("ladder", "flows.ladder:ladder", "Fit a scaling law to small models trained on a corpus in the store.")


@verbs.command()
def tune(
    recipe: RecipeArgument,
    store: StoreOption = "./store",
    out: Annotated[Path | None, typer.Option(help="The new recipe's file; default: NAME-tuned.yaml, here.")] = None,
    overrides: SetOption = None,
    processes: ProcessesOption = 1,
    accelerate: AccelerateOption = None,
    no_wait: NoWaitOption = False,
    metrics: MetricsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Search for learning rates by short trainings on a corpus in the store, and write a recipe with them."""
    from flows.recipe.loading import load_recipe
    from flows.tuning.result import newest_tuning
    from flows.tuning.tuned_recipe import require_free, tuned_recipe

    name = load_recipe(recipe, overrides or ()).name
    file = out or Path(f"{name}-tuned.yaml")
    require_free(file)
    settings = _training_settings(store, processes, accelerate, no_wait, metrics)
    _run_flow("tune", "flows.tune:tune", recipe, overrides, settings, as_json)
    result = newest_tuning(open_store(store), name)
    assert result
    file.write_text(tuned_recipe(recipe, overrides or (), result), encoding="utf-8")
    messages.print(f"Recipe: {file}", markup=False, highlight=False, soft_wrap=True)


def _run_flow(
    name: str, function: str, recipe_name: str, overrides: list[str] | None, given: Mapping[str, object], as_json: bool
) -> None:
    """Validate the recipe, make sure of a Prefect server, run a flow (by name and `module:function`), show the outcome.

    Of the `given` settings, those that are None keep their defaults. A run that would find all done already is not
    started, unless a server of the user's own should know of it.
    """
    with working_on(f"Planning {recipe_name} in {given['store']}"):
        recipe, settings = _planned(name, recipe_name, overrides, given)
        from flows.prepare.planned_run import is_done_already

        is_done = not _has_server() and is_done_already(name, recipe, settings)
    if is_done:
        messages.print("Nothing to do: all that this recipe makes is there.")
    else:
        _call_flow(function, recipe, settings)
    _show_outcome(settings.store, as_json)


def _planned(
    flow: str, recipe_name: str, overrides: list[str] | None, given: Mapping[str, object]
) -> tuple["Recipe", "RunSettings"]:
    """Return the recipe and the settings of a run, once it is known that they are right and what they need is there."""
    require_packages("prefect", "trafilatura")
    from flows.prepare.required_sections import require_sections
    from flows.recipe.loading import load_recipe
    from flows.recipe.named_files import require_named_files
    from flows.recipe.settings import RunSettings
    from flows.stages.registry import stages_until, with_own
    from tasks.fetch.source_listing import kind_of
    from tasks.own_code.named_code import load

    recipe = load_recipe(recipe_name, overrides or ())
    settings = RunSettings.model_validate({field: value for field, value in given.items() if value is not None})
    require_sections(flow, recipe)
    require_named_files(recipe, settings)
    if recipe.needs_corpus and not recipe.synthetic_web:
        kind_of(recipe.source)  # raises, before a server is started for nothing
    trains = recipe.pretrain or recipe.sft
    stages = [stage.name for stage in with_own(map(load, recipe.stages))]
    if "pretrain" in stages_until(stages, settings.until) and trains and flow != "corpus":
        require_packages("torch", "accelerate")
    open_store(settings.store)
    return recipe, settings


def _call_flow(function: str, recipe: "Recipe", settings: "RunSettings") -> None:
    """Run a flow against a Prefect server, ours where there is none; an interrupt ends this command."""
    _quieten_prefect()
    with ExitStack() as stack:
        with working_on("Starting a Prefect server"):
            # Prefect takes seconds to import.
            from httpx import HTTPStatusError, TransportError
            from prefect.exceptions import Abort

            from flows.display.console import showing_progress
            from flows.server.absent_server import is_refusal
            from flows.server.prefect_server import prefect_api

            # A database that a newer Prefect has migrated is of no use to an older one.
            folder = Path.home() / ".sluice" / "prefect" / metadata.version("prefect")
            server = stack.enter_context(prefect_api(folder))
            flow = pkgutil.resolve_name(function)
        password = f" (password: {server.password})" if server.is_ours else ""
        messages.print(f"Prefect UI: {server.ui_url}{password}", highlight=False, soft_wrap=True)
        try:
            with showing_progress(messages):
                flow(recipe, settings)
        except (KeyboardInterrupt, Abort) as ended:
            is_ctrl_c = isinstance(ended.__cause__ or ended, KeyboardInterrupt)
            how = "Interrupted" if is_ctrl_c else "Cancelled"
            messages.print(f"{how}. What was finished is kept; the same command goes on from there.")
            raise typer.Exit(128 + (signal.SIGINT if is_ctrl_c else signal.SIGTERM)) from None
        except (TransportError, HTTPStatusError, RuntimeError) as error:
            # Prefect raises a RuntimeError where its first request was not answered.
            reason = error.__cause__ if isinstance(error, RuntimeError) else error
            if not isinstance(reason, TransportError) and not is_refusal(reason):
                raise
            what = "has ended" if is_refusal(reason) else f"does not answer: {reason}"
            raise TemporaryError(
                f"The Prefect server {server.api_url} {what}. What was finished is kept; "
                "the same command goes on from there."
            ) from error


def _has_server() -> bool:
    """Return whether a Prefect server is configured; asks Prefect, which takes a second, only where it may be."""
    files = ("prefect.toml", Path.home() / ".prefect" / "profiles.toml")
    sections = (("pyproject.toml", b"[tool.prefect"), (".env", b"PREFECT_"))
    if not (
        any(name.startswith("PREFECT_") for name in os.environ)
        or any(Path(file).exists() for file in files)
        or any(Path(file).is_file() and words in Path(file).read_bytes() for file, words in sections)
    ):
        return False
    _quieten_prefect()
    from prefect.settings import PREFECT_API_URL

    return bool(PREFECT_API_URL.value())


def _quieten_prefect() -> None:
    """Leave the terminal to `flows.display.console`; Prefect reads these when it is first imported."""
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    os.environ.setdefault("PREFECT_INTERNAL_LOGGING_LEVEL", "CRITICAL")
    logging.raiseExceptions = False  # it would print each log record that a stopping server no longer takes
    os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
    # What is still to be reported when ours has stopped would start a server of Prefect's, for ten seconds.
    os.environ.setdefault("PREFECT_SERVER_ALLOW_EPHEMERAL_MODE", "false")
    os.environ.setdefault("DO_NOT_TRACK", "1")


def _show_outcome(location: str, as_json: bool) -> None:
    """Show what the latest run came to, and where its report is."""
    from flows.planning.ladder_result import newest_ladder
    from flows.planning.ladder_table import print_ladder
    from flows.report.terminal import print_outcome
    from flows.store.run_record import latest_run
    from flows.tuning.result import newest_tuning, print_tuning

    store = open_store(location)
    record = latest_run(store)
    if as_json:
        print_json(record.model_dump(mode="json"))
        return
    if "tune" in record.stages and (tuning := newest_tuning(store, record.recipe["name"])):
        print_tuning(output, tuning)
    elif "ladder" in record.stages and (result := newest_ladder(store, record.recipe["name"])):
        print_ladder(output, result)
    else:
        print_outcome(output, store, record)
    if store.exists(record.report):
        print_text(f"Report: {store.location(record.report)}")
