"""`sluice recipes`: which recipes there are, what one says in full, and what a recipe can say."""

from typing import Annotated

import typer
from rich.padding import Padding
from rich.text import Text

from flows.cli.terminal import JsonOption, RecipeArgument, SetOption, output, print_json, print_text

verbs = typer.Typer()
recipes = typer.Typer()
verbs.add_typer(recipes, name="recipes")


@recipes.callback(invoke_without_command=True)
def listing(context: typer.Context, as_json: JsonOption = False) -> None:
    """The recipes that come with Sluice, and what a recipe can say."""
    from flows.recipe.shipped import shipped_recipes

    if context.invoked_subcommand:
        return
    if as_json:
        print_json([{"name": name, "description": words} for name, words in shipped_recipes().items()])
        return
    width = max(map(len, shipped_recipes()))
    for name, words in shipped_recipes().items():
        output.print(Text.assemble((name.ljust(width), "bold"), f"  {words}"))


@recipes.command()
def show(recipe: RecipeArgument, overrides: SetOption = None, as_json: JsonOption = False) -> None:
    """Print a recipe as YAML, with the default of every field that it leaves out."""
    import yaml

    from flows.recipe.loading import load_recipe

    values = load_recipe(recipe, overrides or ()).model_dump(mode="json")
    if as_json:
        print_json(values)
    else:
        print_text(yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=110).rstrip())


@recipes.command()
def fields(
    under: Annotated[str, typer.Argument(help="Only the fields of this section, such as `source`.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Print every field of a recipe: its dotted path, type, default and meaning."""
    import dataclasses
    import json

    from flows.recipe.field_reference import fields_under

    found = fields_under(under)
    if as_json:
        print_json([dataclasses.asdict(field) for field in found])
        return
    for field in found:
        line = Text.assemble((field.path, "bold"), f"  {field.type}")
        if field.required:
            line.append("  required", "cyan")
        elif field.default is not None or "null" in field.type:
            line.append(f"  default: {json.dumps(field.default, ensure_ascii=False)}", "cyan")
        output.print(line, soft_wrap=True)
        output.print(Padding(Text(field.meaning), (0, 0, 0, 4)))
