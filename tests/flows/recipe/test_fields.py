"""Every field of a recipe is listed with its type, default and meaning."""

import re

import pytest

from flows.recipe.field_reference import fields_under, recipe_fields
from flows.recipe.recipe_file import RecipeError

FIELDS = {field.path: field for field in recipe_fields()}


def test_every_field_says_what_it_is() -> None:
    assert [path for path, field in FIELDS.items() if len(field.meaning.split()) < 2] == []


def test_a_missing_value_is_called_as_in_yaml() -> None:
    assert [path for path, field in FIELDS.items() if re.search(r"\bNone\b", field.meaning)] == []


@pytest.mark.parametrize(
    ("path", "kind", "required", "default"),
    [
        ("name", "string matching ^[a-z0-9][a-z0-9._-]{0,40}$", True, None),
        ("filter", "section", False, None),
        ("filter.min_language_score", "number at least 0, at most 1", False, 0.65),
        ("filter.thresholds", "mapping of names to number", False, {}),
        ("source.bytes_per_warc", "integer at least 1 or null", False, None),
        ("source.warcs.sample", "integer at least 1", True, None),
        ("classifiers.*.ngrams", "integer at least 1, at most 5", False, 2),
        ("pretrain.loop.steps", "integer", True, None),
        ("pretrain.optimizer.name", "muon | adamw", False, "muon"),
        ("pretrain.shape.depth", "integer at least 1", False, None),
        ("sft.loop.trackers", "list of tensorboard | wandb", False, []),
    ],
)
def test_a_field_is_described(path: str, kind: str, required: bool, default: object) -> None:
    field = FIELDS[path]
    assert (field.type, field.required, field.default) == (kind, required, default)


def test_the_fields_of_a_section() -> None:
    assert [field.path for field in fields_under("export")] == ["export", "export.precision"]
    with pytest.raises(RecipeError, match=r"no field 'sorce'; did you mean 'source'\?"):
        fields_under("sorce")
