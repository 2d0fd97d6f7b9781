"""The report in the terminal: a screenful, complete, and deaf to what a page or a model would tell the terminal."""

import json
import shutil
from pathlib import Path

import pytest
from rich.console import Console

from flows.report.terminal import print_outcome
from flows.store.run_record import RunRecord
from tasks.dataset.store import Store
from tests.flows.report_stores import add_training, synthetic_web_run, whole_run

SCREEN = 30


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, RunRecord]:
    return whole_run(tmp_path_factory.mktemp("whole") / "store")


def shown(store: Store, record: RunRecord, width: int = 100) -> str:
    console = Console(width=width, force_terminal=False, record=False)
    with console.capture() as capture:
        print_outcome(console, store, record)
    return capture.get()


@pytest.mark.parametrize("width", [80, 120])
def test_a_finished_run_fits_a_screen(finished: tuple[Store, RunRecord], width: int) -> None:
    store, record = finished
    text = shown(store, record, width)
    lines = text.splitlines()
    assert len(lines) <= SCREEN
    assert all(len(line.rstrip()) <= width for line in lines)
    for expected in ("tiny", "completed", "records", "extract", "filter", "corpus", "nothing disappeared"):
        assert expected in text
    for expected in (
        "loss 5.51 → 1.",
        "0.917 pretrained, 0.955 finetuned",
        "2.113",
        "50% held out: 3 of 6 answers right; pretrain 0",
        "(right)",
    ):
        assert expected in text


def test_a_failed_run_says_what_is_missing(tmp_path: Path) -> None:
    recorder, store = synthetic_web_run(tmp_path), Store(str(tmp_path))
    add_training(recorder, store, "pretrain", 12, finished=False)
    recorder.finish(RuntimeError("out of [bold]memory[/bold]"))
    text = shown(store, recorder.record)
    assert "failed" in text and "out of [bold]memory[/bold]" in text
    assert "12 of 60 steps" in text
    assert "The stage 'sft' did not begin" in text
    assert "The model has not been evaluated." in text


def test_an_empty_store_does_not_crash(finished: tuple[Store, RunRecord], tmp_path: Path) -> None:
    assert "nothing to count yet" in shown(Store(str(tmp_path)), finished[1])


def test_what_the_model_says_cannot_steer_the_terminal(finished: tuple[Store, RunRecord], tmp_path: Path) -> None:
    shutil.copytree(finished[0].root, tmp_path / "store")
    replies = next((tmp_path / "store").rglob("replies.jsonl"))
    lines = [json.loads(line) | {"reply": "\x1b]0;owned\x07 [red]x[/red]"} for line in replies.read_text().splitlines()]
    replies.write_text("".join(json.dumps(line) + "\n" for line in lines))
    text = shown(Store(str(tmp_path / "store")), finished[1])
    assert "\x1b]0;" not in text and "\x07" not in text
    assert "[red]x[/red]" in text


def test_a_reply_may_hold_the_line_ends_of_unicode(finished: tuple[Store, RunRecord], tmp_path: Path) -> None:
    shutil.copytree(finished[0].root, tmp_path / "store")
    replies = next((tmp_path / "store").rglob("replies.jsonl"))
    lines = [json.loads(line) | {"reply": "one\u2028two\x85three"} for line in replies.read_text().split("\n") if line]
    replies.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
    assert "three" in shown(Store(str(tmp_path / "store")), finished[1])
