"""The results of several runs in one table, and two of them side by side."""

import io

import pytest
from rich.console import Console

from flows.publishing.model_card import model_card
from flows.report.comparison import named_run, write_comparison
from flows.report.results import Value, all_results, print_all
from flows.store.run_record import RunRecord
from tasks.base.errors import UsageError
from tasks.dataset.store import Store
from tests.flows.report_stores import TASKS, whole_run

TASK = "arithmetic, 5-shot: exact_match"


@pytest.fixture(scope="module")
def two_runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, RunRecord, RunRecord]:
    """A store with two runs, of which the second has a worse model."""
    store, first = whole_run(tmp_path_factory.mktemp("results") / "store")
    stages = {name: stage.model_copy(deep=True) for name, stage in first.stages.items()}
    evaluate = stages["evaluate"]
    worse = TASKS[0] | {"metrics": [{"metric": "exact_match", "value": 0.05, "low": 0.02, "high": 0.11}]}
    evaluate = evaluate.model_copy(
        update={
            "summary": {**evaluate.summary, "tasks": [worse]},
            "plan": evaluate.plan.model_copy(update={"fingerprint": "f" * 16}),
        }
    )
    recipe = first.recipe | {"name": "worse"}
    changes = {"run": "20991231T000000.000000-worse", "recipe": recipe, "stages": stages | {"evaluate": evaluate}}
    second = first.model_copy(update=changes)
    store.write_bytes(f"runs/{second.run}.json", second.model_dump_json().encode())
    return store, first, second


def test_every_evaluated_run_has_a_column(two_runs: tuple[Store, RunRecord, RunRecord]) -> None:
    store, first, second = two_runs
    newest, oldest = all_results(store)
    assert [newest.run, oldest.run] == [second.run, first.run]
    assert newest.values[TASK] == Value(0.05, 0.02, 0.11) and oldest.values[TASK].value == 0.25
    assert newest.values[TASK].differs(oldest.values[TASK])
    assert not newest.values["parameters"].differs(oldest.values["parameters"])
    low, high = oldest.values["questions: held_out"].low, oldest.values["questions: held_out"].high
    assert low is not None and high is not None and low < 0.5 < high


def test_a_narrow_terminal_shows_the_newest_runs_whole(two_runs: tuple[Store, RunRecord, RunRecord]) -> None:
    store, *_ = two_runs
    said = {}
    for width in (60, 90):
        text = io.StringIO()
        print_all(Console(file=text, width=width), all_results(store))
        said[width] = text.getvalue()
    assert "0.05" in said[60] and "0.25" not in said[60] and "and 1 older ones" in said[60]
    assert {"20991231T000000", ".000000-worse"} < set(said[90].split()) and "(0.176 to 0.343)" in said[90]
    assert "older" not in said[90]


def test_two_runs_side_by_side(two_runs: tuple[Store, RunRecord, RunRecord]) -> None:
    store, *_ = two_runs
    page = store.read_bytes(write_comparison(store, named_run(store, "tiny"), named_run(store, "worse"))).decode()
    assert page.count(TASK) == 1 and "0.176 to 0.343" in page and "0.02 to 0.11" in page and "<td>yes</td>" in page
    assert "&lt;b&gt;7&lt;/b&gt;" in page and "<b>7</b>" not in page, "what a model said is text"
    assert "<svg" in page and ">name</td>" in page
    with pytest.raises(UsageError, match="no run 'other'"):
        named_run(store, "other")


def test_the_model_card_has_the_numbers(two_runs: tuple[Store, RunRecord, RunRecord]) -> None:
    store, first, _ = two_runs
    said = "arithmetic, 5-shot, exact_match: 0.25 (95% interval 0.176 to 0.343, 100 items)"
    assert said in model_card(store, first)


def test_the_model_card_says_whose_shape_the_model_has(two_runs: tuple[Store, RunRecord, RunRecord]) -> None:
    store, first, _ = two_runs
    assert "in Qwen3's shape" in model_card(store, first)
    pretrain = first.recipe["pretrain"]
    recipe = first.recipe | {"pretrain": pretrain | {"shape": pretrain["shape"] | {"head_norms": False}}}
    assert "in Llama's shape" in model_card(store, first.model_copy(update={"recipe": recipe}))
