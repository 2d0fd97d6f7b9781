"""The command line: what it prints about itself and about recipes, and what it needs for that."""

import json
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
import yaml

from flows.cli import main
from flows.cli.terminal import print_json
from flows.recipe.loading import load_recipe
from flows.recipe.recipe import Recipe
from flows.recipe.shipped import shipped_recipes
from model.base.safe_text import harmless
from tests.conftest import ROOT, sluice_command, sluice_environment

VERBS = {
    *("run", "corpus", "pretrain", "finetune", "ladder", "plan", "what-if", "status", "why", "evaluate", "report"),
    *("ablate", "results", "tune"),
    *("chat", "generate", "export", "recipes"),
}
HEAVY = ("pyarrow", "pydantic", "prefect", "torch", "numpy", "trafilatura")


def sluice(*arguments: str, expect: int = 0) -> str:
    """What `sluice` prints where no server is wanted: its output, or its errors where it fails."""
    done = subprocess.run(
        sluice_command(*arguments), env=sluice_environment("unused"), capture_output=True, text=True, check=False
    )
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stderr if expect else done.stdout


def test_the_version() -> None:
    assert sluice("--version").strip() == f"sluice {metadata.version('sluice')}"


def test_an_interrupt_while_it_loads_is_a_word(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("flows.cli.app.run", interrupted)
    with pytest.raises(SystemExit, match="130"):
        main()
    assert capsys.readouterr().err == "Interrupted.\n"


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_the_help_lists_every_verb(option: str) -> None:
    said = sluice(option)
    assert [verb for verb in VERBS if f" {verb} " not in said] == []
    assert "--install-completion" in said


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_each_verb_has_help(verb: str) -> None:
    assert f"sluice {verb}" in sluice(verb, "-h").replace("python -m flows.cli", "sluice")


def test_help_loads_nothing_heavy() -> None:
    code = f"import sys, flows.cli.app; sys.exit(', '.join(name for name in {HEAVY} if name in sys.modules) or 0)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_reading_a_store_loads_neither_prefect_nor_an_extractor(tmp_path: Path) -> None:
    code = f"""
import sys
from flows.cli.app import app
try:
    app(["status", "--store", {str(tmp_path)!r}], standalone_mode=False)
except Exception as error:
    print(error)
print([name for name in ("prefect", "trafilatura", "torch") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "holds no run yet" in done.stdout and done.stdout.splitlines()[-1] == "[]"


def test_the_shipped_recipes_are_listed() -> None:
    listed = json.loads(sluice("recipes", "--json"))
    assert [recipe["name"] for recipe in listed] == list(shipped_recipes())
    said = sluice("recipes")
    for recipe in listed:
        assert recipe["description"].endswith(".") and len(recipe["description"]) > 20
        assert recipe["name"] in said


def test_a_shown_recipe_is_a_recipe(tmp_path: Path) -> None:
    shown = sluice("recipes", "show", "demo", "--set", "filter.min_language_score=0.8")
    recipe = load_recipe("demo", ["filter.min_language_score=0.8"])
    assert Recipe.model_validate(yaml.safe_load(shown)) == recipe
    assert Recipe.model_validate(json.loads(sluice("recipes", "show", "first-crawl", "--json"))) == load_recipe(
        "first-crawl"
    )


def test_json_holds_the_same_values_and_nothing_that_a_terminal_obeys(capsys: pytest.CaptureFixture[str]) -> None:
    value = {
        "text": "\x1b]0;title\x07\x9b31m\x7f \u202e\u2066 Straße 漢字 😀\n\ttab",
        "cut": "\ud83d",
        "n": [1.5, None],
    }
    print_json(value)
    said = capsys.readouterr().out
    assert json.loads(said) == value and "Straße 漢字 😀" in said
    assert harmless(said) == said


def test_the_fields_of_a_recipe() -> None:
    said = sluice("recipes", "fields", "packing")
    assert "packing.context" in said and "default: 2048" in said
    fields = json.loads(sluice("recipes", "fields", "--json"))
    assert {"path", "type", "required", "default", "meaning"} == set(fields[0])


def test_a_wrong_name_exits_with_two() -> None:
    assert "did you mean 'demo'" in sluice("recipes", "show", "dmeo", expect=2)


def test_a_source_that_cannot_be_read_is_told_before_a_server_starts(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hi")
    words = ["corpus", "first-crawl", "--store", str(tmp_path / "store"), "--set", f"source.base={tmp_path}"]
    said = sluice(*words, expect=2)
    assert "has 1 .txt. What works: a crawl" in said and "Prefect" not in said


@pytest.mark.parametrize("verb", ["pretrain", "finetune", "tune", "ladder"])
def test_a_section_that_is_missing_is_told_before_a_server_starts(tmp_path: Path, verb: str) -> None:
    (tmp_path / "data.yaml").write_text("name: data\nsynthetic_web: {}\n")
    said = sluice(verb, str(tmp_path / "data.yaml"), "--store", str(tmp_path / "store"), expect=2)
    assert "has no section 'pretrain'" in said and "Prefect" not in said


def test_a_tuned_recipe_replaces_no_file(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("# mine")
    refused = sluice("tune", "demo", "--store", str(tmp_path), "--out", str(tmp_path / "mine.yaml"), expect=2)
    assert "mine.yaml exists" in refused.replace("\n", "")
