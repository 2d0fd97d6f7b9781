"""The verbs that use the exported model: chat, generate, evaluate, export."""

import dataclasses
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from flows.cli.terminal import JsonOption, StoreOption, messages, open_store, print_json, print_text
from flows.cli.terminal import output as terminal
from flows.launch.packages import require_packages
from model.base.config import GgufPrecision
from tasks.base.errors import UsageError

verbs = typer.Typer()

TemperatureOption = Annotated[float, typer.Option(help="0 takes the likeliest token; higher is more varied.")]
TopKOption = Annotated[int, typer.Option(help="Draw among the k likeliest tokens; 0: all.")]
TopPOption = Annotated[float, typer.Option(help="Draw within this share of probability.")]
MinPOption = Annotated[float, typer.Option(help="Draw among tokens of this share of the likeliest one's probability.")]
RepetitionPenaltyOption = Annotated[float, typer.Option(help="Above 1 avoids tokens that were there before.")]
MaxNewTokensOption = Annotated[int, typer.Option(help="Longest answer, in tokens.")]
SeedOption = Annotated[int, typer.Option(help="Seeds the draws.")]


@verbs.command()
def chat(
    message: Annotated[str | None, typer.Argument(help="One message to answer; without it, a conversation.")] = None,
    store: StoreOption = "./store",
    system: Annotated[str | None, typer.Option(help="What the model should know or be.")] = None,
    tool: Annotated[
        list[str] | None,
        typer.Option(help="A tool that the model may call: calculator, search (its corpus), or MODULE:NAME."),
    ] = None,
    temperature: TemperatureOption = 0.0,
    top_k: TopKOption = 0,
    top_p: TopPOption = 1.0,
    min_p: MinPOption = 0.0,
    repetition_penalty: RepetitionPenaltyOption = 1.0,
    max_new_tokens: MaxNewTokensOption = 128,
    seed: SeedOption = 0,
) -> None:
    """Talk to the newest exported model."""
    sampling = _sampling(temperature, top_k, top_p, min_p, repetition_penalty, max_new_tokens, seed)
    said = {"message": message, "system": system}
    given = [f"--{name}={value}" for name, value in said.items() if value is not None]
    tools = [f"--tool={name}" for name in _tools_of(store, tool or [])]
    _run_model_program("model.chat", store, [*sampling, *given, *tools])


@verbs.command()
def generate(
    prompt: Annotated[str | None, typer.Argument(help="The beginning of a document; - reads standard input.")] = None,
    store: StoreOption = "./store",
    file: Annotated[Path | None, typer.Option(help="A file with the beginning of a document.")] = None,
    batch: Annotated[Path | None, typer.Option(help='JSON Lines, each with "prompt" or "messages".')] = None,
    output: Annotated[Path | None, typer.Option(help="JSON Lines for a batch's answers; goes on from there.")] = None,
    temperature: TemperatureOption = 0.0,
    top_k: TopKOption = 0,
    top_p: TopPOption = 1.0,
    min_p: MinPOption = 0.0,
    repetition_penalty: RepetitionPenaltyOption = 1.0,
    max_new_tokens: MaxNewTokensOption = 128,
    seed: SeedOption = 0,
) -> None:
    """Let the newest exported model continue a text, or many."""
    if sum(given is not None for given in (prompt, file, batch)) != 1 or (batch is None) != (output is None):
        raise typer.BadParameter("Give a prompt, --file, or --batch with --output.")
    sampling = _sampling(temperature, top_k, top_p, min_p, repetition_penalty, max_new_tokens, seed)
    if prompt is not None:
        given = ["--file=-"] if prompt == "-" else [f"--prompt={prompt}"]
    else:
        given = [f"--file={file}"] if file else [f"--batch={batch}", f"--output={output}"]
    _run_model_program("model.generate", store, [*sampling, *given])


@verbs.command()
def evaluate(
    model: Annotated[
        Path | None,
        typer.Argument(help="A folder that transformers loads; default: the store's newest model."),
    ] = None,
    store: StoreOption = "./store",
    tasks: Annotated[
        str | None, typer.Option(help="Tasks, by commas: names of shipped ones and .yaml files; default: all shipped.")
    ] = None,
    shots: Annotated[str, typer.Option(help="Examples before each item, such as 0,1,5; default: the task's.")] = "",
    items: Annotated[int, typer.Option(min=0, help="Items of each task, the first ones; 0: all.")] = 0,
    output: Annotated[Path | None, typer.Option(help="Folder for result.json and items.parquet.")] = None,
    harness: Annotated[
        str | None, typer.Option(help="Tasks of lm-evaluation-harness instead, by commas, such as arc_easy.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="With --harness: folder of its datasets, each under its name on the Hub.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Ask a model evaluation tasks: values with 95% intervals, and what it said to every item."""
    from flows.evaluation import evaluate_folder, print_results, run_harness
    from flows.store.exported_model import exported_model, local_model
    from model.evaluation.tasks.task import shipped_tasks
    from tasks.workers.scratch_folder import scratch_folder

    if not all(number.strip().isdecimal() for number in shots.split(",")) and shots:
        raise typer.BadParameter(f"--shots {shots}: give numbers by commas, such as 0,1,5.")
    numbers = [int(number) for number in shots.split(",")] if shots else []
    names = [name for name in (tasks or ",".join(shipped_tasks())).split(",") if name]
    with ExitStack() as stack:
        folder = model
        if folder is None:
            place = open_store(store)
            folder = stack.enter_context(local_model(place, exported_model(place)))
        if harness:
            sys.exit(run_harness(folder, harness, data, numbers, items))
        target = output or stack.enter_context(scratch_folder("evaluations"))
        results = evaluate_folder(folder, names, numbers, items, target)
    if as_json:
        print_json([dataclasses.asdict(result) for result in results])
    else:
        print_results(terminal, results)


@verbs.command()
def export(
    destination: Annotated[Path, typer.Argument(help="A new folder; or `corpus`, before one, for the corpus.")],
    corpus_folder: Annotated[Path | None, typer.Argument(help="After `corpus`: a new folder.", metavar="DIR")] = None,
    store: StoreOption = "./store",
    gguf: Annotated[
        GgufPrecision | None, typer.Option(help="Also write model.gguf for llama.cpp, at this precision.")
    ] = None,
    license_id: Annotated[
        str | None, typer.Option("--license", help="The model's licence for its card, such as apache-2.0.")
    ] = None,
) -> None:
    """Copy the newest exported model, ready for transformers, vLLM and others, to a folder; or the corpus."""
    if corpus_folder is not None:
        _export_corpus(str(destination), store, corpus_folder)
        return
    from flows.publishing.model_card import OTHER_LICENSE, model_card
    from flows.store.exported_model import copying_model, exporting_run, run_on_model

    if gguf:
        require_packages("torch", "gguf")
    place = open_store(store)
    run, exported = exporting_run(place)
    with copying_model(place, exported, destination) as folder:
        (folder / "README.md").write_text(model_card(place, run, license_id or OTHER_LICENSE), encoding="utf-8")
        if gguf:
            options = ["--output", str(folder / "model.gguf"), "--precision", gguf]
            if code := run_on_model("model.gguf_export", folder, options):
                sys.exit(code)
    print_text(str(destination))


def _tools_of(store: str, names: list[str]) -> list[str]:
    """Return the names of tools with the index of the newest model's corpus for `search`."""
    if "search" not in names:
        return names
    from flows.stages.search_index import search_index
    from flows.store.exported_model import exporting_run
    from flows.store.working_folder import working_folder

    require_packages("bm25s")
    place = open_store(store)
    run = exporting_run(place)[0]
    corpus = run.stages["corpus"].plan.fingerprint
    index = search_index(place, working_folder(place, run.scratch), corpus, lambda text: messages.print(text))
    return [f"search={index}" if name == "search" else name for name in names]


def _run_model_program(module: str, store: str, arguments: list[str]) -> None:
    """Run a program of the model half on the exported model; ends this one with its exit code if it fails."""
    from flows.store.exported_model import run_model_program

    if code := run_model_program(module, open_store(store), arguments):
        sys.exit(code)


def _sampling(
    temperature: float,
    top_k: int,
    top_p: float,
    min_p: float,
    repetition_penalty: float,
    max_new_tokens: int,
    seed: int,
) -> list[str]:
    options = {"temperature": temperature, "top-k": top_k, "top-p": top_p, "min-p": min_p}
    options |= {"repetition-penalty": repetition_penalty, "max-new-tokens": max_new_tokens, "seed": seed}
    return [f"--{name}={value}" for name, value in options.items()]


def _export_corpus(what: str, store: str, folder: Path) -> None:
    """Write the newest corpus as a dataset for others."""
    from flows.publishing.export_corpus import export_corpus

    if what != "corpus":
        raise UsageError(f"`sluice export {what} {folder}`: give one folder for the model, or `corpus` and a folder.")
    facts = export_corpus(open_store(store), folder)
    print_text(f"{folder}: {facts.documents:,} documents of {len(facts.domains):,} domains")
