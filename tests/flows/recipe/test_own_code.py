"""A user's own rules, signals and extractor, as docs/extending.md shows them: decisions, what-if, fingerprints."""

import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flows.recipe.loading import load_recipe
from flows.recipe.own_code import pin_own_code
from flows.recipe.parameter import chosen_recipe
from flows.recipe.recipe_file import RecipeError
from flows.stages.plan import plan_stages
from flows.what_if.what_if import what_if
from model.reinforcement.rewards import Reply
from tasks.base.errors import PermanentError
from tasks.dataset.schemas import DOCUMENTS
from tasks.dataset.store import Store
from tasks.filter.filter import filter_documents
from tasks.own_code.named_code import load, pinned
from tests.conftest import ROOT
from tests.flows.report_stores import RECIPE, crawl

PAGE = (ROOT / "docs" / "extending.md").read_text()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the files that the page shows."""
    for name, body in re.findall(r"^```(?:python|yaml)\n# (\S+)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE):
        (tmp_path / name).write_text(body)
    return tmp_path


def documents_table(texts: list[str]) -> pa.Table:
    """Documents with these texts."""
    rows = [
        {"id": f"W:{place}", "text": text, "language": "en", "language_score": 1.0} for place, text in enumerate(texts)
    ]
    return pa.Table.from_pylist(rows, DOCUMENTS)


def fingerprints(recipe: Any) -> dict[str, str]:
    plans = plan_stages(pin_own_code(recipe), "CC-MAIN-2026-46", {})
    return {name: plan.fingerprint for name, plan in plans.items()}


def test_a_rule_decides_over_a_signal(folder: Path) -> None:
    recipe = load_recipe(str(folder / "my-recipe.yaml"))
    config = pin_own_code(recipe).filter
    output = filter_documents(documents_table(["word " * 100, "a\nb\nc\nd"]), config)
    assert output.decisions is not None
    assert output.decisions["mean_line_chars"].to_pylist() == [500.0, 1.75]
    assert ["short_lines" in reasons for reasons in output.decisions["reasons"].to_pylist()] == [False, True]


def test_the_code_and_not_its_place_counts(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    before = fingerprints(load_recipe(str(folder / "my-recipe.yaml")))
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    for file in folder.iterdir():
        (elsewhere / file.name).write_bytes(file.read_bytes())
    assert fingerprints(load_recipe(str(elsewhere / "my-recipe.yaml"))) == before
    (elsewhere / "my_rules.py").write_text((folder / "my_rules.py").read_text().replace("40", "41"))
    after = fingerprints(load_recipe(str(elsewhere / "my-recipe.yaml")))
    changed = [name for name in before if before[name] != after[name]]
    assert changed[0] == "filter" and "extract" not in changed and "corpus" in changed


def test_the_rule_is_in_what_if_before_and_after(folder: Path, tmp_path: Path) -> None:
    recipe = load_recipe(str(folder / "my-recipe.yaml"))
    named = {name: list(getattr(pin_own_code(recipe).filter, name)) for name in ("rules", "signals")}
    record = crawl(tmp_path / "store", {"filter": named})
    store = Store(str(tmp_path / "store"))
    values = RECIPE | {"filter": named}
    now = type(recipe).model_validate(values)
    same = what_if(store, now)
    [stage] = [stage for stage in same.stages if stage.stage == "filter"]
    assert stage.newly_kept == stage.newly_dropped == 0
    higher = type(recipe).model_validate(values | {"filter": named | {"thresholds": {"short_lines": 200}}})
    [stage] = [stage for stage in what_if(store, higher).stages if stage.stage == "filter"]
    assert stage.newly_dropped > 0 and stage.newly_kept == 0
    assert record.stages["filter"].plan.config["rules"] == named["rules"]


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("short_lines = 5", r"short_lines is no rule, it has no name, columns"),
        ("import nothing_of_this_name", r"my_rules\.py, line 1: ModuleNotFoundError"),
        ("x = (", r"my_rules\.py, line 1: SyntaxError"),
        ("", r"has no 'short_lines'"),
        (
            'from tasks.dataset.rules import Threshold\nshort_lines = Threshold("other", "words", "<", 1)',
            r"the rule calls itself 'other'",
        ),
        (
            'from tasks.dataset.rules import Threshold\nshort_lines = Threshold("short_lines", "wrods", "<", 1)',
            r"short_lines reads wrods, which is no signal",
        ),
    ],
)
def test_what_is_wrong_is_told_when_the_recipe_is_read(folder: Path, code: str, message: str) -> None:
    (folder / "my_rules.py").write_text(code)
    with pytest.raises(RecipeError, match=message):
        load_recipe(str(folder / "my-recipe.yaml"), ["filter.signals=[]"])


def test_a_missing_file_is_named(folder: Path) -> None:
    with pytest.raises(RecipeError, match=r"there is no file .*/none\.py"):
        load_recipe(str(folder / "my-recipe.yaml"), ["filter.rules=[none.py:x]"])


def test_an_error_ends_the_run_with_file_line_and_document(folder: Path) -> None:
    (folder / "my_rules.py").write_text((folder / "my_rules.py").read_text().replace('text.count("\\n") + 1', "0"))
    config = pin_own_code(load_recipe(str(folder / "my-recipe.yaml"))).filter
    with pytest.raises(PermanentError, match=r"my_rules\.py, line 6, on the document W:0: ZeroDivisionError"):
        filter_documents(documents_table(["words"]), config)


def test_code_of_others_is_not_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mark = folder / "was-run"
    (folder / "my_rules.py").write_text(f"open({str(mark)!r}, 'w').close()\nshort_lines = 1")
    values = {"name": "mine", "filter": {"rules": [f"{folder}/my_rules.py:short_lines"]}}
    with pytest.raises(RecipeError, match=r"names code to run .* and is no file of this machine"):
        chosen_recipe(values)
    inline = values | {"filter": {"rules": ["x.py:y\ny = 1"]}}
    (folder / "inline.yaml").write_text(str(inline).replace("'", '"'))
    with pytest.raises(RecipeError, match="names code to run"):
        load_recipe(str(folder / "inline.yaml"))
    assert not mark.exists()
    monkeypatch.setenv("SLUICE_ALLOW_CODE", "1")
    with pytest.raises(RecipeError, match="is no rule"):
        chosen_recipe(values)
    assert mark.exists()


def test_a_stage_is_planned_built_and_fingerprinted_by_its_code(folder: Path, tmp_path: Path) -> None:
    (folder / "my_stage.py").write_text((folder / "my_stage.py").read_text().replace('"!"', '"river"'))
    recipe = load_recipe(str(folder / "my-recipe.yaml"), [f"stages=[{folder}/my_stage.py:STAGE]"])
    named = list(pin_own_code(recipe).stages)
    record = crawl(tmp_path / "store", {"stages": named})
    folders = {
        name: Store(str(tmp_path / "store")).local(record.stages[name].plan.folder) for name in ("corpus", "shouting")
    }
    corpus, shouting = (pq.read_table(path).to_pylist() for path in folders.values())
    assert 0 < len(shouting) < len(corpus) and shouting == [row for row in corpus if "river" in row["text"]]
    before = fingerprints(recipe)
    (folder / "my_stage.py").write_text((folder / "my_stage.py").read_text().replace('"river"', '"lake"'))
    after = fingerprints(load_recipe(str(folder / "my-recipe.yaml"), [f"stages=[{folder}/my_stage.py:STAGE]"]))
    assert [name for name in before if before[name] != after[name]] == ["shouting"]


@pytest.mark.parametrize(("name", "message"), [("corpus", "cannot be its name"), ("../x", "cannot be its name")])
def test_a_stage_takes_no_name_that_is_taken(folder: Path, name: str, message: str) -> None:
    source = (folder / "my_stage.py").read_text().replace('name="shouting"', f'name="{name}"')
    (folder / "my_stage.py").write_text(source)
    with pytest.raises(RecipeError, match=message):
        load_recipe(str(folder / "my-recipe.yaml"), [f"stages=[{folder}/my_stage.py:STAGE]"])


def test_an_extractor(folder: Path) -> None:
    recipe = load_recipe(str(folder / "my-recipe.yaml"), [f"extract.extractor={folder}/my_extractor.py:paragraphs"])
    extract = load(pinned(recipe.extract.extractor))
    assert extract("<html><body><p>One</p><div>not</div><p>two</p></body></html>", "") == "One\ntwo"


def test_a_reward_is_known_by_its_name_and_fingerprinted_by_its_code(folder: Path) -> None:
    (folder / "prompts.jsonl").write_text('{"prompt": "a"}\n')
    chosen = [
        f"own_rewards=[{folder}/my_rewards.py:one_sentence]",
        f"rl={{prompts: {folder}/prompts.jsonl, rewards: {{one_sentence: 1}}, "
        "loop: {steps: 2, global_batch_size: 8}}",
    ]
    before = fingerprints(load_recipe("demo", chosen))
    reward = load(pin_own_code(load_recipe("demo", chosen)).own_rewards[0])
    assert reward(Reply("It is so.", 5, finished=True, limit=8), {}) == 1.0
    (folder / "my_rewards.py").write_text((folder / "my_rewards.py").read_text().replace("== 1", "== 2"))
    after = fingerprints(load_recipe("demo", chosen))
    assert [name for name in before if before[name] != after[name]] == ["rl", "evaluate", "export"]
    with pytest.raises(RecipeError, match="there is no reward 'one_sentence'; there are: answer, exact"):
        load_recipe("demo", chosen[1:])
    (folder / "my_rewards.py").write_text("one_sentence = 1")
    with pytest.raises(RecipeError, match="must be a function"):
        load_recipe("demo", chosen)
