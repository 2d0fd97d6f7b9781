"""The verbs that look ahead: plan and what-if."""

from typing import Annotated

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
)

verbs = typer.Typer()


@verbs.command()
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
    mfu: Annotated[float | None, typer.Option(help="Share of the peak reached; default: as measured, or 0.4.")] = None,
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
    found = plan_costs(load_recipe(recipe, overrides or ()), open_store(store), messages, budget)
    if as_json:
        print_json(found.model_dump(mode="json"))
    else:
        print_costs(output, found)


@verbs.command(name="what-if")
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

    found = decide_again(open_store(store), load_recipe(recipe, overrides or ()), samples)
    if as_json:
        print_json(found.model_dump(mode="json"))
    else:
        print_what_if(output, found)
