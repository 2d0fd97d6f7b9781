"""The recipe as a flow's parameter: what it takes, and what of it the server's schema refuses already."""

import re
from pathlib import Path
from typing import Any

import pytest
from prefect.utilities.callables import parameter_schema
from prefect.utilities.schema_tools.validation import ValidationError, validate

from flows.recipe.loading import load_recipe
from flows.recipe.parameter import RecipeParameter, chosen_recipe
from flows.recipe.recipe import Recipe
from flows.recipe.recipe_file import RecipeError
from flows.recipe.settings import RunSettings
from flows.recipe.shipped import shipped_recipes


def flow(recipe: RecipeParameter) -> None:
    """Stands for any flow."""


SCHEMA: dict[str, Any] = parameter_schema(flow).model_dump_for_openapi()


def refused_by_the_server(recipe: Any) -> str | None:
    """What the server says of a parameter before it makes a run; None where it makes one."""
    try:
        validate({"recipe": recipe}, SCHEMA, raise_on_error=True)
    except ValidationError as error:
        return str(error)
    return None


@pytest.mark.parametrize("name", shipped_recipes())
def test_a_name_a_file_or_an_object_is_a_recipe(name: str, tmp_path: Path) -> None:
    recipe = load_recipe(name)
    (tmp_path / "own.yaml").write_text(recipe.model_dump_json())
    whole = recipe.model_dump(mode="json")
    for given in (name, str(tmp_path / "own.yaml"), whole, {"recipe": name}, {"recipe": name, "set": whole}):
        assert refused_by_the_server(given) is None
        assert chosen_recipe(given) == recipe
    assert chosen_recipe(recipe) is recipe


def test_changes_are_merged_over_the_named_recipe() -> None:
    changes = {"source": {"warcs": 2}, "filter.languages": ["de"], "pretrain.loop": {"steps": 30}, "sft": None}
    given = {"recipe": "first-crawl", "set": changes}
    assert refused_by_the_server(given) is None
    overrides = ["source.warcs=2", "filter.languages=[de]", "pretrain.loop.steps=30", "sft=null"]
    assert chosen_recipe(given) == load_recipe("first-crawl", overrides)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("dmeo", "'dmeo' does not match"),
        (["demo"], "not of type 'object'"),
        (None, "not of type 'object'"),
        ({}, "'name' is a required property"),
        ({"name": "x", "filter": {"min_language_score": 7}}, "recipe.filter.min_language_score.*maximum of 1"),
        ({"name": "x", "filtre": {}}, "'filtre' was unexpected"),
        ({"recipe": "demo", "set": {"filter": {"min_language_score": 7}}}, "min_language_score.*maximum of 1"),
        ({"recipe": "demo", "set": {"filtre": {}}}, "'filtre' does not match"),
        ({"recipe": "demo", "sets": {}}, "'sets' was unexpected"),
        ({"recipe": "dmeo"}, "'dmeo' does not match"),
        ({"set": {}}, "'recipe' is a required property"),
    ],
)
def test_the_server_and_the_flow_refuse_the_same(given: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        validate({"recipe": given}, SCHEMA, raise_on_error=True)
    with pytest.raises(RecipeError):
        chosen_recipe(given)


SECRETS = (
    "https://user:secret@mirror.example/cc",
    "https://token@mirror.example/cc",
    "s3://key:se/cret@bucket/cc",
    "ftp://user:secret@mirror.example",
    "https://mirror.example/cc?part=1&X-Amz-Signature=0123",
    "https://mirror.example/cc?access_token=0123",
)


@pytest.mark.parametrize("address", SECRETS)
def test_a_password_is_refused_before_the_server_stores_it(address: str) -> None:
    """The server's database, events and UI hold what a run was given, so a flow would come too late."""
    assert refused_by_the_server({"name": "x", "source": {"base": address}})
    fields = RunSettings.model_json_schema()["properties"]
    assert re.search(fields["store"]["pattern"], address) is None


@pytest.mark.parametrize(
    "recipe",
    [
        {"recipe": "demo", "set": {"source": {"base": SECRETS[0]}}},
        {"recipe": "demo", "set": {"source.base": SECRETS[0]}},
        {"recipe": "demo", "set": {"sft.conversations": SECRETS[0]}},
        {"recipe": "demo", "set": {"evaluate": {"questions": SECRETS[0]}}},
        {"recipe": "demo", "set": {"mixture": {"others": {"a": {"store": SECRETS[0]}}}}},
        {"name": "x", "filter": {"stop_words": SECRETS[0]}},
        {"name": "x", "mixture": {"others": {"a": {"store": SECRETS[0]}}}},
        f"{SECRETS[0]}/recipe.yaml",
        {"recipe": f"{SECRETS[0]}/recipe.yaml"},
    ],
)
def test_a_password_is_refused_wherever_a_recipe_has_it(recipe: Any) -> None:
    assert refused_by_the_server(recipe)


@pytest.mark.parametrize(
    "address",
    [
        "s3://bucket/cc",
        "https://mirror.example/~a/@b",
        "/data/cc@home",
        "s3://host:9000/b",
        "https://mirror.example/cc?monkey=1",
    ],
)
def test_other_addresses_are_not(address: str) -> None:
    assert refused_by_the_server({"name": "x", "source": {"base": address}}) is None
    assert refused_by_the_server({"recipe": "demo", "set": {"source.base": address}}) is None


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"name": "x", "sft": {"loop": {"steps": 1, "global_batch_size": 1}}}, "sft needs a pretrain section"),
        ({"recipe": "demo", "set": {"pretrain": None}}, "sft needs a pretrain section"),
        ({"recipe": "demo", "set": {"filter.languges": ["en"]}}, r"filter\.languges: no such field; did you mean"),
        ({"recipe": "file:///etc/recipe.yaml"}, "is not a URL of https://"),
        ("/nowhere/recipe.yaml", "cannot be read: No such file"),
    ],
)
def test_the_flow_refuses_what_the_server_cannot_see(given: Any, message: str) -> None:
    assert refused_by_the_server(given) is None
    with pytest.raises(RecipeError, match=message):
        chosen_recipe(given)


def test_a_form_draws_a_text_field_or_json_and_no_field_of_the_recipe() -> None:
    drawn = {key: value for key, value in SCHEMA["properties"]["recipe"].items() if key not in ("if", "then", "else")}
    assert [option["type"] for option in drawn["anyOf"]] == ["string", "object"]
    assert all(set(option) == {"type", "title"} for option in drawn["anyOf"])
    assert set(SCHEMA["definitions"]["Recipe"]["properties"]) == set(Recipe.model_fields)
