"""What befell a training is told wherever its losses are shown."""

import json
from pathlib import Path

import pytest
from rich.console import Console

from flows.report.page import write_report
from flows.report.terminal import print_outcome
from flows.store.run_record import RunRecord
from flows.store.status import store_status
from flows.store.training_log import Training, newest_step, read_training
from tasks.dataset.store import Store
from tests.flows.report_stores import add_training, synthetic_web_run

EVENTFUL = [
    {"event": "skipped", "step": 11, "loss": "nan", "grad_norm": "nan", "reason": "the loss is not finite"},
    {"event": "skipped", "step": 12, "loss": "9.0", "grad_norm": "1.0", "reason": "far above"},
    {"event": "rewind", "step": 10, "from_step": 14, "batches_passed": 4, "reason": "far above"},
    {"event": "resume", "step": 10},
    {"event": "done", "step": 12, "tokens": 3072, "seconds": 9.0, "reason": "the held-out loss has <not> fallen"},
]
INCIDENTS = [
    "resumed 1 time",
    "went back to a checkpoint 1 time",
    "2 steps skipped",
    "ended early: the held-out loss has <not> fallen",
]


@pytest.fixture(scope="module")
def eventful(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, RunRecord]:
    """A run whose pretraining saw everything."""
    folder = tmp_path_factory.mktemp("eventful")
    recorder, store = synthetic_web_run(folder), Store(str(folder))
    model = add_training(recorder, store, "pretrain", 12, finished=False)
    log = store.read_bytes(f"{model}/metrics.jsonl")
    store.write_bytes(
        f"{model}/metrics.jsonl", log + b"".join(json.dumps(event).encode() + b"\n" for event in EVENTFUL)
    )
    recorder.finish()
    return store, recorder.record


def test_a_log_cut_in_the_middle_of_a_character_is_read(eventful: tuple[Store, RunRecord]) -> None:
    store, record = eventful
    whole = read_training(store, record, "pretrain")
    (path,) = (f"models/{name}/metrics.jsonl" for name in store.names("models"))
    store.write_bytes(path, store.read_bytes(path) + '{"event": "skipped", "reason": "caf\u00e9'.encode()[:-1])
    assert read_training(store, record, "pretrain") == whole


def test_lines_without_their_fields_are_left_out(eventful: tuple[Store, RunRecord]) -> None:
    """Another version wrote them, or a disk damaged them: the rest can be shown."""
    store, record = eventful
    whole = read_training(store, record, "pretrain")
    assert isinstance(whole, Training)
    (path,) = (f"models/{name}/metrics.jsonl" for name in store.names("models"))
    log = store.read_bytes(path)
    step = {"event": "step", "step": 13, "tokens": 3328, "loss": 1.0, "tokens_per_second": 9000}
    wrong: list[dict[str, object]] = [{name: value for name, value in step.items() if name != gone} for gone in step]
    values: list[object] = [None, [], "x", -9e999]
    wrong += [{**step, name: value} for name in ("step", "loss", "tokens_per_second") for value in values]
    wrong += [step | {"step": 0}, step | {"tokens_per_second": 0}, {"event": ["step"]}, {"event": "eval", "step": 13}]
    store.write_bytes(path, b"".join(json.dumps(event).encode() + b"\n" for event in wrong) + log)
    assert read_training(store, record, "pretrain") == whole
    assert newest_step(log.decode(errors="replace") + "\n" + json.dumps(wrong[0])) == whole.last
    store.write_bytes(path, log)


def test_a_log_tells_what_was_out_of_the_ordinary(eventful: tuple[Store, RunRecord]) -> None:
    training = read_training(*eventful, "pretrain")
    assert isinstance(training, Training)
    assert training.incidents == INCIDENTS
    assert training.note.startswith("step 12 of 60, loss 3.") and training.note.endswith("; ".join(INCIDENTS))


def test_status_report_and_terminal_show_it(eventful: tuple[Store, RunRecord]) -> None:
    store, record = eventful
    assert list(store_status(store).training) == ["pretrain"]
    assert store_status(store).training["pretrain"].endswith(INCIDENTS[-1])
    page = store.read_bytes(write_report(store, record)).decode()
    assert "went back to a checkpoint 1 time; 2 steps skipped; ended early: the held-out loss has &lt;not&gt;" in page
    console = Console(width=400, force_terminal=False)
    with console.capture() as capture:
        print_outcome(console, store, record)
    assert "; ".join(INCIDENTS) in capture.get()


def test_an_uneventful_training_has_nothing_to_tell(tmp_path: Path) -> None:
    recorder, store = synthetic_web_run(tmp_path), Store(str(tmp_path))
    add_training(recorder, store, "pretrain", 60)
    training = read_training(store, recorder.record, "pretrain")
    assert isinstance(training, Training) and training.incidents == [] and training.note.startswith("step 60, loss 1.")


def run_with_log(folder: Path, stage: str, lines: list[dict[str, object]]) -> RunRecord:
    """The record of a run that has a further training stage, whose metrics log has these lines."""
    record = synthetic_web_run(folder).record
    stages = dict(record.stages)
    plan = stages["sft"].plan.model_copy(update={"name": stage, "fingerprint": "0123456789abcdef"})
    stages[stage] = stages["sft"].model_copy(update={"plan": plan})
    path = f"models/tiny-{stage}-{plan.fingerprint[:8]}/metrics.jsonl"
    Store(str(folder)).write_bytes(path, "".join(json.dumps(line) + "\n" for line in lines).encode())
    return record.model_copy(update={"stages": stages})


def test_preference_finetuning_shows_margins_and_accuracy(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    lines = [
        {"event": "step", "step": step, "tokens": 9 * step, "loss": 0.7 - 0.01 * step, "tokens_per_second": 900}
        | {"margin": 0.02 * step, "accuracy": min(1.0, 0.5 + 0.03 * step)}
        for step in range(1, 21)
    ]
    lines += [{"event": "eval", "step": 20, "loss": 0.5, "margin": 0.36, "accuracy": 0.875}]
    lines += [{"event": "step", "step": 21, "margin": None}, {"event": "eval", "step": "x", "accuracy": 1}]
    lines += [{"event": "sample", "step": step, "prompt": "Who?", "reply": f"<Me> {step}"} for step in (0, 10, 20)]
    record = run_with_log(tmp_path, "preference", lines)
    training = read_training(store, record, "preference")
    assert isinstance(training, Training)
    assert [(curve.name, len(curve.trained), curve.held_out) for curve in training.curves] == [
        ("margin", 20, ((20, 0.36),)),
        ("accuracy", 20, ((20, 0.875),)),
    ]
    page = store.read_bytes(write_report(store, record)).decode()
    assert "<h3>Preference finetuning</h3>" in page and "0.50 nats per pair in 20" in page
    assert "share of preferences that its rewards agree with, held out: 0.875" in page
    assert "curves-preference" in page
    assert "&lt;Me&gt; 20" in page and "&lt;Me&gt; 10" not in page and ">reward</th>" not in page


def test_reinforcement_learning_shows_rewards_and_replies(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    lines: list[dict[str, object]] = [
        {"event": "step", "step": step, "tokens": 9 * step, "loss": 0.01 * step, "tokens_per_second": 900}
        | {"reward": 0.1 * step, "reply_tokens": 20.0 - step, "entropy": 0.5, "fault": "mine: ValueError"}
        for step in range(1, 11)
    ]
    for step, reward in ((0, 0.125), (5, 0.25), (10, 0.75)):
        lines += [{"event": "eval", "step": step, "reward": reward, "reply_tokens": 12.0}]
        lines += [{"event": "sample", "step": step, "prompt": "p", "reply": f"<b>reply {step}", "reward": reward}]
    lines += [{"event": "sample", "step": 10, "prompt": "p", "reply": "no reward", "reward": None}]
    record = run_with_log(tmp_path, "rl", lines)
    training = read_training(store, record, "rl")
    assert isinstance(training, Training)
    assert {curve.name: curve.held_out[-1][1] for curve in training.curves if curve.held_out} == {
        **{"reward": 0.75, "reply_tokens": 12.0},
    }
    assert [sample.step for sample in training.samples] == [0, 10, 10], "the first evaluation and the last"
    page = store.read_bytes(write_report(store, record)).decode()
    assert "<h3>Reinforcement learning</h3>" in page and "reward of a reply, held out: 0.750" in page
    assert "&lt;b&gt;reply 10" in page and "reply 5" not in page
