"""A stage of the user's own in place of the filter, as docs/extending.md shows it: run, report, what-if, left out."""

import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from flows.publishing.export_corpus import export_corpus
from flows.recipe.loading import load_recipe
from flows.recipe.own_code import pin_own_code
from flows.recipe.recipe import Recipe
from flows.recipe.recipe_file import RecipeError
from flows.report.page import render
from flows.report.readers.funnel import funnel_discrepancies
from flows.report.sections import Report
from flows.stages.plan import plan_stages
from flows.stages.registry import stages_until
from flows.store.run_record import RunRecord
from flows.what_if.outcome import StageChange
from flows.what_if.what_if import what_if
from tasks.base.errors import UsageError
from tasks.dataset.store import Store
from tests.conftest import ROOT
from tests.flows.report_stores import RECIPE, crawl

PAGE = (ROOT / "docs" / "extending.md").read_text()
[SOURCE] = re.findall(r"^```python\n# my_check.py\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


class Run(NamedTuple):
    """A store in which a recipe with the stage has run."""

    store: Store
    record: RunRecord
    folder: Path

    def recipe(self, limit: int) -> Recipe:
        """The same recipe, with another limit in the stage's code."""
        return Recipe.model_validate(RECIPE | {"stages": stage(self.folder, limit)})


def stage(folder: Path, limit: int, **changes: str) -> list[str]:
    """What `stages` holds for the page's stage, which counts the letter e: the synthetic web has no "!"."""
    source = SOURCE.replace('"!"', '"e"').replace('">", 3', f'">", {limit}')
    for before, after in changes.items():
        source = re.sub(rf"\b{before}=.*", f"{before}={after},", source)
    (folder / "my_check.py").write_text(source)
    loaded = load_recipe("demo", [f"stages=[{folder}/my_check.py:STAGE]"])
    return list(pin_own_code(loaded).stages)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("own-stage")
    record = crawl(folder / "store", {"stages": stage(folder, 38)})
    return Run(Store(str(folder / "store")), record, folder)


def changes(run: Run, recipe: Recipe) -> dict[str, StageChange]:
    return {one.stage: one for one in what_if(run.store, recipe).stages}


def test_it_is_in_the_funnel_and_all_counts_add_up(run: Run) -> None:
    report = Report(run.store, run.record)
    assert [one.stage for one in report.funnel.stages] == ["extract", "filter", "calm", "corpus"]
    _, filtered, calm, corpus = report.funnel.stages
    assert calm.read == filtered.kept and corpus.read == calm.kept
    assert calm.removed == calm.reasons[0].count > 0 and calm.reasons[0].reason == "too_loud"
    assert funnel_discrepancies(run.store, run.record) == []


def test_it_is_in_the_reports_reasons_signals_and_samples(run: Run) -> None:
    report = Report(run.store, run.record)
    assert "calm" in {one.stage for one in report.signals}
    [removed] = [one for one in report.removed if one.stage == "calm"]
    assert removed.reason == "too_loud" and "exclamation_marks" in removed.samples[0].failures[0]
    page = render(report)
    assert "by calm" in page and "Traceback" not in page
    assert report.truth.decisions.pages > 0


def test_the_card_of_the_exported_corpus_names_its_code_and_not_its_place(run: Run, tmp_path: Path) -> None:
    export_corpus(run.store, tmp_path / "out")
    card = (tmp_path / "out" / "README.md").read_text()
    assert r"Code of its maker's own took part: my\_check.py:STAGE." in card and str(run.folder) not in card


def test_what_if_applies_its_rules_again(run: Run) -> None:
    same, laxer, stricter = (changes(run, run.recipe(limit)) for limit in (38, 42, 30))
    assert not any(one.changes for one in same.values())
    assert list(same) == ["extract", "filter", "calm", "corpus"]
    assert laxer["calm"].newly_kept > 0 == laxer["calm"].newly_dropped
    assert stricter["calm"].newly_dropped > 0 == stricter["calm"].newly_kept
    [rule] = stricter["calm"].rules
    assert rule.failed_after == stricter["calm"].read_before - stricter["calm"].kept_after.least
    assert stricter["corpus"].kept_after.most < stricter["corpus"].kept_before


def test_what_if_of_a_recipe_without_it_returns_what_it_removed(run: Run) -> None:
    calm = changes(run, Recipe.model_validate(RECIPE))["calm"]
    assert calm.newly_kept == calm.read_before - calm.kept_before
    asked = Recipe.model_validate(RECIPE)
    assert any("leaves calm out" in note for note in what_if(run.store, asked).notes)


def test_removing_it_redoes_only_what_follows(run: Run) -> None:
    def fingerprints(recipe: Recipe) -> dict[str, str]:
        plans = plan_stages(recipe, "CC-MAIN-2026-46", {"conversations": "c", "questions": "q"})
        return {name: plan.fingerprint for name, plan in plans.items()}

    with_it, without = fingerprints(run.recipe(38)), fingerprints(Recipe.model_validate(RECIPE))
    same = [name for name in without if with_it[name] == without[name]]
    assert same == ["fetch", "extract", "filter"]
    assert list(with_it)[:5] == ["fetch", "extract", "filter", "calm", "signatures"]


def test_a_run_may_end_with_it(run: Run) -> None:
    plans = {name: one.plan for name, one in run.record.stages.items()}
    assert stages_until(plans, "calm", plans) == ["fetch", "extract", "filter", "calm"]
    assert stages_until(plans, "signatures", plans) == ["fetch", "extract", "filter", "calm", "signatures"]


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("in_place_of", '"corpus"', "a stage stands in_place_of extract or filter, and builds on that one first"),
        ("in_place_of", '"extract"', "builds on that one first"),
        ("decisions", "None", "has rows=DOCUMENTS, and decisions made by decisions_schema"),
    ],
)
def test_what_cannot_stand_there_is_told(tmp_path: Path, field: str, value: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        stage(tmp_path, 3, **{field: value})


def test_two_stages_of_one_name_are_told(tmp_path: Path) -> None:
    stage(tmp_path, 3)
    (tmp_path / "other.py").write_text((tmp_path / "my_check.py").read_text())
    with pytest.raises(RecipeError, match="stages: there are two called calm"):
        load_recipe("demo", [f"stages=[{tmp_path}/my_check.py:STAGE, {tmp_path}/other.py:STAGE]"])


def test_a_stage_of_what_the_recipe_does_not_make_is_told(tmp_path: Path) -> None:
    asked: dict[str, Any] = {"stages": stage(tmp_path, 3, upstream='(Upstream("compression"),)', in_place_of="None")}
    recipe = Recipe.model_validate(RECIPE | asked | {"compression": None})
    with pytest.raises(UsageError, match="stages: calm builds on compression, which this recipe does not make"):
        plan_stages(recipe, "CC-MAIN-2026-46", {"conversations": "c", "questions": "q"})
