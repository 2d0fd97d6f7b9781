"""A ladder's result in the terminal: its models beside the law, and how far the law can be trusted."""

from rich.console import Console
from rich.table import Table

from flows.display.numbers import short
from flows.planning.ladder_result import LadderResult


def print_ladder(output: Console, result: LadderResult) -> None:
    """Show a ladder."""
    law = result.fit.law
    table = Table(title=f"ladder of {result.recipe} on {result.crawl}")
    for name in ("parameters", "tokens", "FLOP", "loss", "the law", "error"):
        table.add_column(name, justify="right")
    for model in result.models:
        predicted = law.loss(model.parameters, model.tokens)
        table.add_row(
            short(model.parameters),
            short(model.tokens),
            f"{model.flop:.3g}",
            f"{model.loss:.4f}",
            f"{predicted:.4f}",
            f"{predicted / model.loss - 1:+.1%}",
        )
    output.print(table)
    said = [
        f"L(N, D) = {law.floor:.4g} + {law.parameter_scale:.4g} / N^{law.parameter_power:.3f}"
        f" + {law.token_scale:.4g} / D^{law.token_power:.3f} nats per token; {result.in_words()}.",
        "80% of resampled fits: "
        + "; ".join(f"{name} {low:.3g} to {high:.3g}" for name, (low, high) in result.fit.intervals.items())
        + ".",
    ]
    if result.check:
        held = result.check.held_back
        said.append(
            f"Held back: {short(held.parameters)} parameters on {short(held.tokens)} tokens came to {held.loss:.4f};"
            f" predicted {result.check.predicted:.4f} ({result.check.error:+.1%})."
        )
    for line in (*said, *(f"Left out: {words}." for words in result.left_out)):
        output.print(line, highlight=False, markup=False)
