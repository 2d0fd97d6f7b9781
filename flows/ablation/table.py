"""An ablation's outcome on a terminal."""

from rich.console import Console
from rich.table import Table

from flows.ablation.verdict import Verdict
from model.base.safe_text import harmless


def print_verdict(console: Console, names: tuple[str, str], found: Verdict) -> None:
    """Print bits per byte by task with signal and noise, and the verdict."""
    table = Table(title="bits per byte of the right answers, mean over seeds")
    for name in ("task", *map(harmless, names), "noise", "signal/noise", "p"):
        table.add_column(name, justify="left" if name == "task" else "right")
    for one in (*found.by_task, found.overall):
        values = [f"{value:.4f}" for value in (one.first, one.second, one.noise)]
        table.add_row(harmless(one.task), *values, f"{one.signal_to_noise:.1f}", f"{one.p_value:.3f}")
    console.print(table)
    console.print(harmless(found.words), markup=False, highlight=False, soft_wrap=True)
