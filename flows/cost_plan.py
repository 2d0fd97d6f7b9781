"""`sluice plan`: what a recipe will cost. Each kind of cost is a section of `RecipePlan` and a table.

Notable: a budget is about what could be trained, not about what the recipe fetches, so with one the source is not read.
"""

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from flows.acquisition_cost import AcquisitionCost, acquisition_cost, cost_table
from flows.planning.training_budget import TrainingBudget
from flows.planning.training_plan import TrainingPlan, plan_training
from flows.planning.training_table import training_tables
from flows.recipe.recipe import Recipe
from flows.synthesis_cost import StageCost, synthesis_costs, synthesis_table
from tasks.base.config import Config
from tasks.dataset.store import Store


class RecipePlan(Config):
    """What carrying out a recipe takes."""

    recipe: str
    """The recipe's name."""
    acquisition: AcquisitionCost | None
    """Fetching the pages; None where a budget is planned."""
    training: TrainingPlan | None
    """Pretraining; None where the recipe trains no decoder and no budget is given."""
    synthesis: tuple[StageCost, ...] | str = ()
    """Synthetic data: the dry run of its requests, or why it cannot be known yet."""


def plan_costs(recipe: Recipe, store: Store, messages: Console, budget: TrainingBudget) -> RecipePlan:
    """Count or estimate all costs; `messages` shows progress."""
    training = plan_training(recipe, store, budget)
    acquisition = None if budget.is_given else _acquisition(recipe, store, messages)
    synthesis = () if budget.is_given else synthesis_costs(recipe, store)
    return RecipePlan(recipe=recipe.name, acquisition=acquisition, training=training, synthesis=synthesis)


def _acquisition(recipe: Recipe, store: Store, messages: Console) -> AcquisitionCost:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=messages, transient=True) as progress:
        bars = {}

        def on_part(stage: str, done: int, total: int) -> None:
            if stage not in bars:
                bars[stage] = progress.add_task(stage, total=total)
            progress.update(bars[stage], completed=done)

        return acquisition_cost(recipe, store, on_part)


def print_costs(output: Console, plan: RecipePlan) -> None:
    """Show a plan in the terminal."""
    if plan.acquisition:
        output.print(cost_table(plan.acquisition))
        if plan.acquisition.index_bytes:
            output.print("The selection is in the store; a run of this recipe goes on from it.")
    if plan.synthesis:
        output.print(plan.synthesis if isinstance(plan.synthesis, str) else synthesis_table(plan.synthesis))
    for table in training_tables(plan.training) if plan.training else ():
        output.print(table)
