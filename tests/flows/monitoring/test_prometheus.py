"""The file of metrics, as Prometheus' own parser reads it."""

import time
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from flows.monitoring.prometheus import PrometheusFile
from flows.store.training_log import TrainingStep
from tests.flows.run_records import a_manifest, a_record, with_stage

Samples = dict[tuple[str, ...], float]


def samples(folder: Path) -> Samples:
    """Values by metric and its labels, in the order of their names, but for those that say which run it is."""
    [file] = folder.iterdir()
    found: Samples = {}
    for family in text_string_to_metric_families(file.read_text()):
        assert family.documentation
        for sample in family.samples:
            labels = dict(sample.labels)
            run = labels.pop("store"), labels.pop("flow"), labels.pop("recipe")
            assert run == ('/a "store"', "crawl-to-chat", "Tiny_1")
            found[sample.name, *labels.values()] = sample.value
    return found


def test_a_run_from_its_beginning_to_its_end(tmp_path: Path) -> None:
    file = PrometheusFile(tmp_path / "metrics")
    record = a_record("Tiny_1", "filter", "pretrain", store='/a "store"')
    file.run_began(record)
    found = samples(tmp_path / "metrics")
    assert found["sluice_run_state", "running"] == 1 and found["sluice_run_state", "failed"] == 0
    assert abs(found["sluice_run_alive_timestamp_seconds",] - time.time()) < 60
    assert found["sluice_stage_state", "filter", "planned"] == 1

    record = with_stage(record, "filter", state="running")
    file.parts_done(record, "filter", 3, 8)
    file.stage_began(record, "filter", {})
    found = samples(tmp_path / "metrics")
    assert (found["sluice_stage_parts_done", "filter"], found["sluice_stage_parts", "filter"]) == (3, 8)

    record = with_stage(record, "filter", state="done", seconds=2.5)
    file.trained(record, "pretrain", TrainingStep(16, 16_000, 2.75, 1000.0, 0.4), 300)
    file.stage_ended(record, "filter", {"filter": a_manifest(record, "filter", read=5, kept=3)})
    file.run_ended(record.model_copy(update={"state": "completed", "finished": "2026-11-27T04:30:00+00:00"}))
    found = samples(tmp_path / "metrics")
    assert found["sluice_run_state", "completed"] == 1 and found["sluice_run_state", "running"] == 0
    assert found["sluice_run_end_timestamp_seconds",] - found["sluice_run_start_timestamp_seconds",] == 1800
    assert found["sluice_stage_seconds", "filter"] == 2.5
    assert (found["sluice_stage_rows", "filter"], found["sluice_stage_bytes", "filter"]) == (3, 100)
    assert found["sluice_stage_records", "removed", "filter"] == 2
    assert (found["sluice_training_step", "pretrain"], found["sluice_training_steps", "pretrain"]) == (16, 300)
    assert found["sluice_training_loss_nats", "pretrain"] == 2.75
    assert found["sluice_training_mfu_ratio", "pretrain"] == 0.4


def test_runs_of_other_recipes_and_stores_have_files_of_their_own(tmp_path: Path) -> None:
    for recipe, store in (("one", "/store"), ("two", "/store"), ("one", "/other"), ("one", "/store")):
        PrometheusFile(tmp_path).run_began(a_record(recipe, store=store))
    assert len(list(tmp_path.iterdir())) == 3
