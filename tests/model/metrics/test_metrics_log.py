"""The metrics log never holds a step twice."""

from pathlib import Path

from model.metrics.metrics_log import MetricsLog
from tests.model.tiny_corpus import read_metrics


def test_a_resumed_log_goes_on_at_the_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "models" / "metrics.jsonl"
    log = MetricsLog(path, 0)
    for step in range(1, 8):
        log.write("step", step, loss=1.0 / step)
    log.write("done", 7)
    log.close()
    with path.open("a") as file:
        file.write('{"event": "step", "step": null}\n{"event": "step"}\n{"event": "step", "st')
    log = MetricsLog(path, 5)
    log.write("step", 6, loss=9.0)
    log.close()
    assert [(event["event"], event["step"]) for event in read_metrics(path)] == [("step", step) for step in range(1, 7)]
    assert read_metrics(path)[-1]["loss"] == 9.0


def test_a_run_from_the_start_empties_the_log(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    MetricsLog(path, 0).write("step", 1, loss=1.0)
    MetricsLog(path, 0).write("data", 0, cut=2)
    assert read_metrics(path) == [{"event": "data", "step": 0, "cut": 2}]
