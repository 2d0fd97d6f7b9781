"""The report's section on the scaling law: there where a ladder is, with its plot, and nowhere else."""

from pathlib import Path

import numpy as np
import pytest

from flows.ladder import fitted
from flows.planning.ladder_result import LadderModel, LadderResult, ladder_path
from flows.planning.scaling_law import CHINCHILLA_REPLICATED
from flows.report.ladder_plot import ladder_plot
from flows.report.page import render
from flows.report.sections import Report
from flows.stages.ladder import STAGE
from flows.stages.plan import stage_plan
from tasks.dataset.store import Store
from tests.flows.report.test_page import Page
from tests.flows.report_stores import synthetic_web_run


@pytest.fixture(scope="module")
def invented_ladder() -> LadderResult:
    """Losses of a known law with some noise, and the law that is fitted to them."""
    draws = np.random.default_rng(1)
    models = [
        LadderModel(
            parameters=size,
            tokens=size * ratio,
            loss=CHINCHILLA_REPLICATED.loss(size, size * ratio) * float(np.exp(0.01 * draws.normal())),
            layers=size // 10_000_000,
            hidden_size=64,
            tokens_per_parameter=float(ratio),
            bits_per_byte=1.0,
            flop=6.0 * size * size * ratio,
            fingerprint="f",
        )
        for size in (10_000_000, 20_000_000, 40_000_000)
        for ratio in (5, 10, 20)
    ]
    return fitted("tiny", "CC", models, ["80M parameters: too many"])


def test_a_store_with_a_ladder_shows_its_law(invented_ladder: LadderResult, tmp_path: Path) -> None:
    recorder, store = synthetic_web_run(tmp_path), Store(str(tmp_path))
    assert 'id="ladder"' not in render(Report(store, recorder.record))
    card = Report(store, recorder.record).card
    recorder.add_stage(stage_plan(STAGE, {}, {}).model_copy(update={"fingerprint": "0123456789abcdef"}))
    recorder.stage("ladder", summary={"result": "r", "law": {}})
    report = Report(store, recorder.record)
    assert list(report.trainings) == ["pretrain", "sft"] and report.card == card, "its models are none of the run's"
    path = ladder_path("tiny", "0123456789abcdef")
    store.write_bytes(path, invented_ladder.model_dump_json().encode())
    page = Page(render(Report(store, recorder.record)))
    assert {"ladder"} <= set(page.ids)
    text = " ".join(page.words)
    for words in (
        "Scaling law",
        "10M",
        "40M parameters",
        "predicted its loss",
        "too few tokens for them: 1 more",
        "80% of",
    ):
        assert words in text

    store.write_bytes(path, b"{")
    assert "The scaling law cannot be shown" in render(Report(store, recorder.record))


def test_the_plot_has_a_line_for_each_size_and_is_the_same_each_time(invented_ladder: LadderResult) -> None:
    drawn = str(ladder_plot(invented_ladder))
    assert drawn == str(ladder_plot(invented_ladder))
    for words in ("10M parameters", "20M parameters", "40M parameters", "nats per token, held out"):
        assert words in drawn
