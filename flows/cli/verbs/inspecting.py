"""The verbs that read a store: status, why, results, datasets, report."""

from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from flows.cli.terminal import JsonOption, StoreOption, open_store, output, print_json, print_text
from model.base.safe_text import harmless

verbs = typer.Typer()


@verbs.command()
def status(store: StoreOption = "./store", as_json: JsonOption = False) -> None:
    """What is done and what is left of the latest run."""
    from flows.store.status import failed_lines, running_lines, status_table, store_status

    found = store_status(open_store(store))
    if as_json:
        print_json(found.model_dump(mode="json"))
        return
    table = Table(title=Text(harmless(f"{found.run} · {found.crawl} · {found.state}"), style="table.title"))
    for name in ("stage", "state", "parts", "rows", "bytes", "fingerprint"):
        table.add_column(name, justify="right" if name in ("parts", "rows", "bytes") else "left")
    for row in status_table(found):
        table.add_row(*row)
    output.print(table)
    for line in failed_lines(found):
        print_text(line, style="yellow")
    for line in running_lines(found):
        print_text(line)
    if found.error:
        print_text(found.error, style="red")


@verbs.command()
def why(stage: str, store: StoreOption = "./store", as_json: JsonOption = False) -> None:
    """Why a stage ran again: which field changed, from what to what."""
    from flows.store.why import explain_stage

    explanation = explain_stage(open_store(store), stage)
    if as_json:
        print_json(explanation.model_dump(mode="json"))
    else:
        print_text(explanation.words)


@verbs.command()
def results(
    store: StoreOption = "./store",
    compare: Annotated[
        tuple[str, str] | None, typer.Option(help="Two runs, or recipes for their newest: write both side by side.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """What the models of the store's runs came to, in one table; or a page with two of them side by side."""
    import dataclasses

    from flows.report.comparison import named_run, write_comparison
    from flows.report.results import all_results, print_all

    place = open_store(store)
    if compare:
        print_text(place.location(write_comparison(place, *(named_run(place, name) for name in compare))))
    elif as_json:
        print_json([dataclasses.asdict(run) for run in all_results(place)])
    else:
        print_all(output, all_results(place))


@verbs.command()
def datasets(store: StoreOption = "./store", as_json: JsonOption = False) -> None:
    """The finished datasets of the latest run, with folders that pandas, polars, DuckDB and `datasets` read."""
    from flows.store.status import store_status

    found = [stage for stage in store_status(open_store(store)).stages if stage.state == "done"]
    if as_json:
        print_json([stage.model_dump(mode="json", include={"name", "path", "rows", "bytes"}) for stage in found])
        return
    for stage in found:
        print_text(f"{stage.name:<12} {stage.rows:>13,} rows {stage.bytes:>16,} bytes  {stage.path}")


@verbs.command()
def report(
    store: StoreOption = "./store",
    eu_summary: Annotated[
        bool, typer.Option("--eu-summary", help="Print the EU's public summary of training content instead.")
    ] = False,
    small_provider: Annotated[
        bool, typer.Option("--small-provider", help="With it: the domains that a small provider names.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Write the report of the latest run again and say where it is."""
    if eu_summary:
        _print_eu_summary(store, small_provider, as_json)
        return
    from flows.report.page import write_report
    from flows.store.run_record import latest_run

    place = open_store(store)
    location = place.location(write_report(place, latest_run(place)))
    if as_json:
        print_json({"report": location})
    else:
        print_text(location)


def _print_eu_summary(store: str, small_provider: bool, as_json: bool) -> None:
    from flows.publishing.eu_summary import eu_summary, summary_page

    summary = eu_summary(open_store(store), small_provider)
    if as_json:
        print_json(summary.model_dump(mode="json"))
    else:
        print_text(summary_page(summary).rstrip())
