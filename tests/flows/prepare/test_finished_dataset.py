"""When a dataset is finished, its folder holds its parts and nothing that earlier runs left."""

from pathlib import Path

from flows.prepare.finished_dataset import finished_manifest
from flows.recipe.stage_plan import StagePlan
from tasks.dataset.store import Store


def test_further_parts_and_what_a_kill_cut_short_are_gone(tmp_path: Path) -> None:
    plan = StagePlan(name="fetch", version=1, fingerprint="f" * 16, config={}, job_config={}, upstream={})
    store = Store(str(tmp_path))
    left = ["part-00000.parquet", ".part-00001.parquet.20802.tmp", "a note of somebody's"]
    for folder in (plan.folder, f"decisions/fetch/{plan.fingerprint}"):
        for name in left:
            store.write_bytes(f"{folder}/{name}", b"")
    finished_manifest(store, plan, [])
    assert store.names(plan.folder) == ["a note of somebody's"]
    assert store.exists(f"{plan.folder}.manifest.json")
    assert ".part-00001.parquet.20802.tmp" not in store.names(f"decisions/fetch/{plan.fingerprint}")
