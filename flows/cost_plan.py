"""`sluice plan`: what a recipe will cost, before it does. Each kind of cost is a section of `RecipePlan` and a table.

Notable: only what a recipe fetches is counted so far; what training reaches and takes is to stand beside it.
"""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from flows.acquisition_cost import AcquisitionCost, acquisition_cost, cost_table
from flows.recipe import Recipe
from tasks.config import Config
from tasks.store import Store


class RecipePlan(Config):
    """What carrying out a recipe takes."""

    recipe: str
    """The recipe's name."""
    acquisition: AcquisitionCost
    """Bringing the pages here."""


def plan_costs(recipe: Recipe, store: Store, messages: Console) -> RecipePlan:
    """Count or estimate all costs; `messages` shows how far that is, where it takes long."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=messages, transient=True) as progress:
        bars = {}

        def on_part(stage: str, done: int, total: int) -> None:
            if stage not in bars:
                bars[stage] = progress.add_task(stage, total=total)
            progress.update(bars[stage], completed=done)

        return RecipePlan(recipe=recipe.name, acquisition=acquisition_cost(recipe, store, on_part))


def print_costs(output: Console, plan: RecipePlan) -> None:
    """Show a plan in the terminal."""
    output.print(cost_table(plan.acquisition))
    if plan.acquisition.index_bytes:
        output.print("The selection is in the store; a run of this recipe goes on from it.")
