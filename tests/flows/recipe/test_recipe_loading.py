"""Recipes: what is wrong is named, with the nearest right name; what is right gives one frozen model."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from flows.recipe.loading import RENAMED, apply_override, load_recipe
from flows.recipe.recipe import Recipe
from flows.recipe.recipe_file import RecipeError
from flows.recipe.shipped import shipped_recipes


@pytest.mark.parametrize("name", shipped_recipes())
def test_shipped_recipes_are_valid(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name
    assert Recipe.model_validate(recipe.model_dump(mode="json")) == recipe


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("filter.languges=[en]", r"filter\.languges: no such field; did you mean 'languages'\?"),
        ("filter.languages=[eng]", r"filter\.languages\.0: .*'eng' are marked 'en'"),
        ("filter.languages=[German]", r"filter\.languages\.0"),
        ("extract.guess_languages=[deu]", r"extract\.guess_languages.*'deu' are marked 'de'"),
        ("sorce.crawl=latest", r"sorce: no such field; did you mean 'source'\?"),
        ("pretrain.loop.stepz=3", r"pretrain\.loop\.stepz: no such field; did you mean 'steps'\?"),
        ("pretrain.optimizer.name=adam", r"pretrain\.optimizer\.name: .*'muon' or 'adamw'.*'adam'"),
        ("filter.thresholds.gopher_minwords=3", r"gopher_minwords.*nearest name is \"gopher_min_words\""),
        ("filter.min_language_score=2", r"filter\.min_language_score: .*less than or equal to 1 \(it is 2\)"),
        ("packing.context=-1", r"packing\.context"),
        ("pretrain.shape.context=3", r"pretrain\.shape\.context is 3, but packing\.context is 256"),
        ("pretrain=null", r"sft needs a pretrain section"),
        ("synthetic_web=null", r"`synthetic_web` chat data needs a synthetic_web section"),
    ],
)
def test_a_wrong_field_is_named(override: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        load_recipe("demo", [override])


@pytest.mark.parametrize(
    ("override", "now"),
    [
        ("tokenizer.vocabulary_size=3", "vocab_size"),
        ("pretrain.shape.vocabulary_size=3", "vocab_size"),
        ("pretrain.shape.width=64", "hidden_size"),
        ("pretrain.shape.feed_forward_width=64", "intermediate_size"),
        ("pretrain.shape.head_width=64", "head_dim"),
        ("pretrain.loop.sequences_per_step=4", "global_batch_size"),
        ("sft.loop.sequences_per_step=4", "global_batch_size"),
        ("pretrain.optimizer.matrix_lr=0.1", "muon_lr"),
        ("madeup.seed=1", "synthetic_web"),
    ],
)
def test_a_field_under_its_old_name_is_refused_with_the_new_one(override: str, now: str) -> None:
    old = override.partition("=")[0].split(".")
    assert any(RENAMED.get(name) == now for name in old)
    with pytest.raises(RecipeError, match=f"no such field; did you mean '{now}', as it is called now"):
        load_recipe("demo", [override])


def test_every_wrong_field_is_named_at_once() -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe("demo", ["filter.languges=[en]", "tokenizer.vocab=3"])
    assert "filter.languges" in str(caught.value) and "tokenizer.vocab" in str(caught.value)


def test_a_folder_called_like_a_recipe_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "demo").mkdir()
    monkeypatch.chdir(tmp_path)
    assert load_recipe("demo").name == "demo"


def test_a_recipe_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_bytes(b"name: \xff\xfe")
    with pytest.raises(RecipeError, match=r"x\.yaml is not UTF-8 text"):
        load_recipe(str(tmp_path / "x.yaml"))


def test_an_unknown_recipe_names_the_nearest() -> None:
    with pytest.raises(RecipeError, match=r"no recipe called 'dmeo'; did you mean 'demo'\?"):
        load_recipe("dmeo")


@pytest.mark.parametrize("text", ["- a list", "a: [", "just words"])
def test_a_file_that_is_no_recipe_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(RecipeError, match=r"mine\.yaml"):
        load_recipe(str(path))


def test_overrides_are_yaml_values() -> None:
    values: dict[str, object] = {"a": {"b": 1}}
    apply_override(values, "a.c=[1, x]")
    apply_override(values, "a.b=null")
    apply_override(values, "d.e.f=true")
    assert values == {"a": {"b": None, "c": [1, "x"]}, "d": {"e": {"f": True}}}


@pytest.mark.parametrize("override", ["a.b", "=3", "a..b=3"])
def test_an_override_of_another_form_is_refused(override: str) -> None:
    with pytest.raises(RecipeError, match=r"field\.path=value"):
        apply_override({}, override)


def test_the_vocabulary_and_the_context_follow() -> None:
    recipe = load_recipe("demo", ["tokenizer.vocab_size=2000", "packing.context=64"])
    assert recipe.pretrain is not None
    assert recipe.pretrain.shape.vocab_size == 2000
    assert recipe.pretrain.shape.context == 64


def test_a_recipe_is_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_recipe("demo").name = "other"


def test_a_recipe_is_read_where_torch_is_not() -> None:
    """The data half runs without torch: reading a recipe must not import it."""
    code = "import sys, flows.recipe.recipe; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("override", ["name=2026-02-30", "name=" + "[" * 2000, "name=!!timestamp soon", "name=&a [*a]"])
def test_an_override_that_yaml_cannot_read_is_refused_in_words(override: str) -> None:
    with pytest.raises(RecipeError, match="the value is not valid YAML"):
        load_recipe("demo", [override])


def test_a_recipe_whose_aliases_multiply_is_refused(tmp_path: Path) -> None:
    laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    laughs += "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9))
    (tmp_path / "laughs.yaml").write_text(laughs)
    with pytest.raises(RecipeError, match="aliases"):
        load_recipe(str(tmp_path / "laughs.yaml"))


@pytest.mark.parametrize(
    ("extract", "filtering", "profiles"),
    [
        ({}, {}, ("fineweb",)),
        ({"format": "markdown"}, {}, ("structured",)),
        ({"format": "markdown"}, {"languages": ["de"]}, ("structured",)),
        ({"format": "markdown"}, {"profiles": ["gopher"]}, ("gopher",)),
    ],
)
def test_markdown_is_held_to_rules_that_know_it_unless_others_are_named(
    extract: dict[str, Any], filtering: dict[str, Any], profiles: tuple[str, ...]
) -> None:
    recipe = Recipe.model_validate({"name": "r", "extract": extract, "filter": filtering})
    assert recipe.filter.profiles == profiles
