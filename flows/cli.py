"""The command line: each verb a thin call of a flow or a reader of the store.

Notable: a verb exits with 0 when it did what was asked, 1 when the run failed, 2 when the command or the recipe is
wrong. Prefect is imported only by the verbs that run a flow, so `sluice status` answers at once.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from flows.display.safe_text import harmless
from flows.recipe.settings import RunSettings
from flows.store.exported_model import copy_model, run_model_program
from flows.store.run_record import latest_run, read_run, run_names
from tasks.base.errors import PermanentError, SluiceError, UsageError
from tasks.dataset.store import Store

app = typer.Typer(
    name="sluice",
    help="From Common Crawl to a chat model, in one flow.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
output = Console()
messages = Console(stderr=True)

RecipeArgument = Annotated[str, typer.Argument(help="A shipped recipe's name, or the path of a .yaml file.")]
StoreOption = Annotated[str, typer.Option("--store", help="Folder or URL that holds everything a run makes.")]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", help="field.path=value, over the recipe; may be repeated.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
WorkersOption = Annotated[
    int | None, typer.Option("--workers", min=1, help="Parts worked on at once; default: the cores.")
]
WorkerMemoryOption = Annotated[
    float | None, typer.Option("--worker-memory", min=0.1, help="GiB at which a worker is ended; default: 4.")
]
ProcessesOption = Annotated[int, typer.Option("--processes", min=1, help="Training processes, usually one a GPU.")]
TemperatureOption = Annotated[float, typer.Option(help="0 takes the likeliest token; higher is more varied.")]
TopKOption = Annotated[int, typer.Option(help="Draw among the k likeliest tokens; 0: all.")]
TopPOption = Annotated[float, typer.Option(help="Draw within this share of probability.")]
MaxNewTokensOption = Annotated[int, typer.Option(help="Longest answer, in tokens.")]
SeedOption = Annotated[int, typer.Option(help="Seeds the draws.")]
AccelerateOption = Annotated[str | None, typer.Option("--accelerate", help="An accelerate config file for training.")]


@app.command()
def run(
    recipe: RecipeArgument = "demo",
    store: StoreOption = "./store",
    overrides: SetOption = None,
    workers: WorkersOption = None,
    worker_memory: WorkerMemoryOption = None,
    processes: ProcessesOption = 1,
    accelerate: AccelerateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Crawl to chat model; without a recipe, the offline demo."""
    _run_flow(
        "crawl_to_chat", recipe, overrides, _settings(store, workers, worker_memory, processes, accelerate), as_json
    )


@app.command()
def corpus(
    recipe: RecipeArgument,
    store: StoreOption = "./store",
    overrides: SetOption = None,
    workers: WorkersOption = None,
    worker_memory: WorkerMemoryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Crawl to packed tokens."""
    _run_flow("crawl_to_corpus", recipe, overrides, _settings(store, workers, worker_memory), as_json)


def _training_verb(name: str, words: str) -> None:
    """Add a verb that trains on what is in the store."""

    @app.command(name, help=words)
    def verb(
        recipe: RecipeArgument,
        store: StoreOption = "./store",
        overrides: SetOption = None,
        processes: ProcessesOption = 1,
        accelerate: AccelerateOption = None,
        as_json: JsonOption = False,
    ) -> None:
        _run_flow(name, recipe, overrides, _settings(store, processes=processes, accelerate=accelerate), as_json)


_training_verb("pretrain", "Pretrain on a corpus that is in the store.")
_training_verb("finetune", "Finetune the pretrained model on conversations, judge it and export it.")
_training_verb("ladder", "Train a series of small models on a corpus in the store and fit a scaling law to them.")


@app.command()
def status(store: StoreOption = "./store", as_json: JsonOption = False) -> None:
    """What is done and what is left of the latest run."""
    from flows.store.status import failed_lines, status_table, store_status

    found = store_status(Store(store))
    if as_json:
        _print_json(found.model_dump(mode="json"))
        return
    table = Table(title=f"{found.run} · {found.crawl} · {found.state}")
    for name in ("stage", "state", "parts", "rows", "bytes", "fingerprint"):
        table.add_column(name, justify="right" if name in ("parts", "rows", "bytes") else "left")
    for row in status_table(found):
        table.add_row(*row)
    output.print(table)
    for line in failed_lines(found):
        output.print(line, style="yellow", markup=False, highlight=False, soft_wrap=True)
    for stage, note in found.training.items():
        output.print(f"{stage}: {harmless(note)}", markup=False, highlight=False)
    if found.error:
        output.print(harmless(found.error), style="red", markup=False, highlight=False)


@app.command()
def why(stage: str, store: StoreOption = "./store", as_json: JsonOption = False) -> None:
    """Why a stage ran again: which field changed, from what to what."""
    from flows.store.why import explain_stage

    explanation = explain_stage(Store(store), stage)
    if as_json:
        _print_json(explanation.model_dump(mode="json"))
    else:
        output.print(explanation.words, markup=False, highlight=False)


@app.command()
def plan(
    recipe: RecipeArgument,
    store: StoreOption = "./store",
    overrides: SetOption = None,
    gpu: Annotated[str | None, typer.Option(help="h100, a100 and others; or such as 400TFLOP/s,48GiB.")] = None,
    gpus: Annotated[int, typer.Option(min=1, help="How many of them.")] = 1,
    hours: Annotated[float | None, typer.Option(help="A budget: hours of those GPUs.")] = None,
    flops: Annotated[float | None, typer.Option(help="A budget: FLOP of training, such as 1e20.")] = None,
    tokens_per_parameter: Annotated[float | None, typer.Option(help="In place of the law's best.")] = None,
    law: Annotated[str | None, typer.Option(help="chinchilla-replicated, chinchilla, or this store's ladder.")] = None,
    mfu: Annotated[float | None, typer.Option(help="Share of the peak that training reaches; default: 0.4.")] = None,
    price: Annotated[float | None, typer.Option(help="US dollars for a GPU-hour.")] = None,
    epochs: Annotated[float | None, typer.Option(help="Times that each token is seen; default: 1.")] = None,
    as_json: JsonOption = False,
) -> None:
    """What a recipe will fetch and train, before it does; or, from a budget, the best model and what it takes."""
    from flows.cost_plan import plan_costs, print_costs
    from flows.planning.training_budget import training_budget
    from flows.recipe.loading import load_recipe

    amounts = {"gpu": gpu, "gpus": gpus, "hours": hours, "flops": flops, "law": law, "mfu": mfu, "price": price}
    budget = training_budget(amounts | {"tokens_per_parameter": tokens_per_parameter, "epochs": epochs})
    found = plan_costs(load_recipe(recipe, overrides or ()), Store(store), messages, budget)
    if as_json:
        _print_json(found.model_dump(mode="json"))
    else:
        print_costs(output, found)


@app.command(name="what-if")
def what_if(
    recipe: RecipeArgument,
    store: StoreOption = "./store",
    overrides: SetOption = None,
    samples: Annotated[int, typer.Option(min=0, help="Documents to name of those that change sides.")] = 5,
    as_json: JsonOption = False,
) -> None:
    """The funnel under other thresholds or another profile, from what the store has measured."""
    from flows.recipe.loading import load_recipe
    from flows.what_if.terminal import print_what_if
    from flows.what_if.what_if import what_if as decide_again

    found = decide_again(Store(store), load_recipe(recipe, overrides or ()), samples)
    if as_json:
        _print_json(found.model_dump(mode="json"))
    else:
        print_what_if(output, found)


@app.command()
def chat(
    message: Annotated[str | None, typer.Argument(help="One message to answer; without it, a conversation.")] = None,
    store: StoreOption = "./store",
    temperature: TemperatureOption = 0.0,
    top_k: TopKOption = 0,
    top_p: TopPOption = 1.0,
    max_new_tokens: MaxNewTokensOption = 128,
    seed: SeedOption = 0,
) -> None:
    """Talk to the newest exported model."""
    sampling = _sampling(temperature, top_k, top_p, max_new_tokens, seed)
    said = [] if message is None else [f"--message={message}"]
    sys.exit(run_model_program("model.chat", Store(store), [*sampling, *said]))


@app.command()
def generate(
    prompt: Annotated[str, typer.Argument(help="The beginning of a document.")],
    store: StoreOption = "./store",
    temperature: TemperatureOption = 0.0,
    top_k: TopKOption = 0,
    top_p: TopPOption = 1.0,
    max_new_tokens: MaxNewTokensOption = 128,
    seed: SeedOption = 0,
) -> None:
    """Let the newest exported model continue a text."""
    sampling = _sampling(temperature, top_k, top_p, max_new_tokens, seed)
    sys.exit(run_model_program("model.generate", Store(store), [*sampling, f"--prompt={prompt}"]))


@app.command()
def evaluate(store: StoreOption = "./store") -> None:
    """The newest evaluation: bits per byte beside a unigram model, and answers by group, as JSON."""
    for name in reversed(run_names(Store(store))):
        stage = read_run(Store(store), name).stages.get("evaluate")
        if stage and stage.summary:
            _print_json(stage.summary)
            return
    raise PermanentError(f"The store {store} holds no evaluation yet: `sluice run` makes one.")


@app.command()
def export(
    destination: Annotated[Path, typer.Argument(help="A new folder.")],
    store: StoreOption = "./store",
    gguf: Annotated[
        str | None, typer.Option(help="Also write model.gguf for llama.cpp: float32, float16 or bfloat16.")
    ] = None,
) -> None:
    """Copy the newest exported model, ready for transformers, vLLM and others, to a folder."""
    folder = copy_model(Store(store), destination)
    if gguf:
        arguments = ["--output", str(folder / "model.gguf"), "--precision", gguf]
        if code := run_model_program("model.gguf_export", Store(store), arguments):
            raise typer.Exit(code)
    output.print(str(folder), highlight=False)


@app.command()
def report(store: StoreOption = "./store", as_json: JsonOption = False) -> None:
    """Write the report of the latest run again and say where it is."""
    from flows.report.page import write_report

    place = Store(store)
    location = place.location(write_report(place, latest_run(place)))
    if as_json:
        _print_json({"report": location})
    else:
        output.print(location, markup=False, highlight=False, soft_wrap=True)


@app.command()
def recipes(as_json: JsonOption = False) -> None:
    """The recipes that come with Sluice."""
    from flows.recipe.loading import shipped_recipes

    if as_json:
        _print_json(shipped_recipes())
        return
    for name in shipped_recipes():
        output.print(name)


def _show_outcome(store: Store) -> None:
    """Show what the latest run came to, and where its report is."""
    from flows.planning.ladder_result import newest_ladder
    from flows.planning.ladder_table import print_ladder
    from flows.report.terminal import print_outcome

    record = latest_run(store)
    if "ladder" in record.stages and (result := newest_ladder(store, record.recipe["name"])):
        print_ladder(output, result)
    else:
        print_outcome(output, store, record)
    report_path = f"reports/{record.run}.html"
    if store.exists(report_path):
        output.print(f"Report: {store.location(report_path)}", highlight=False, soft_wrap=True)


def main() -> None:
    """The `sluice` command."""
    try:
        app()
    except SluiceError as error:
        messages.print(harmless(str(error)), style="red", markup=False, highlight=False, soft_wrap=True)
        sys.exit(2 if isinstance(error, UsageError) else 1)


def _settings(
    store: str,
    workers: int | None = None,
    worker_memory: float | None = None,
    processes: int = 1,
    accelerate: str | None = None,
) -> RunSettings:
    given = {"store": store, "processes": processes, "accelerate_config": accelerate}
    given |= {"workers": workers, "worker_memory_gib": worker_memory}
    return RunSettings.model_validate({name: value for name, value in given.items() if value is not None})


def _sampling(temperature: float, top_k: int, top_p: float, max_new_tokens: int, seed: int) -> list[str]:
    options = {"temperature": temperature, "top-k": top_k, "top-p": top_p}
    options |= {"max-new-tokens": max_new_tokens, "seed": seed}
    return [word for name, value in options.items() for word in (f"--{name}", str(value))]


def _run_flow(name: str, recipe_name: str, overrides: list[str] | None, settings: RunSettings, as_json: bool) -> None:
    """Validate the recipe, see that there is a Prefect server, run the flow, show what came out."""
    from flows.recipe.loading import load_recipe

    recipe = load_recipe(recipe_name, overrides or ())
    if settings.accelerate_config and not Path(settings.accelerate_config).is_file():
        raise UsageError(f"--accelerate: there is no file {settings.accelerate_config}.")
    _quieten_prefect()
    from flows.display.console import showing_progress
    from flows.engine.prefect_server import prefect_api

    with prefect_api(Path.home() / ".sluice" / "prefect") as server:
        messages.print(f"Prefect UI: {server.ui_url}")
        flow = _flow(name)
        try:
            with showing_progress(messages):
                flow(recipe, settings)
        except KeyboardInterrupt:
            messages.print("Interrupted. What was finished is kept; the same command goes on from there.")
            raise typer.Exit(130) from None
    if as_json:
        _print_json(latest_run(Store(settings.store)).model_dump(mode="json"))
    else:
        _show_outcome(Store(settings.store))


def _flow(name: str) -> Callable[..., Any]:
    from flows.chat import crawl_to_chat
    from flows.corpus import crawl_to_corpus
    from flows.ladder import ladder
    from flows.training import finetune as finetune_flow
    from flows.training import pretrain as pretrain_flow

    return {
        "crawl_to_chat": crawl_to_chat,
        "crawl_to_corpus": crawl_to_corpus,
        "pretrain": pretrain_flow,
        "finetune": finetune_flow,
        "ladder": ladder,
    }[name]


def _quieten_prefect() -> None:
    """Leave the terminal to `flows.display.console`; Prefect reads these when it is first imported."""
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
    os.environ.setdefault("DO_NOT_TRACK", "1")


def _print_json(value: Any) -> None:
    output.print_json(data=value)


if __name__ == "__main__":
    main()
