"""One threshold changed: what builds on it runs again, nothing else, and `sluice why` says which field it was."""

import json
import shutil
from pathlib import Path

from tests.conftest import Sluice, stage_statuses


def test_only_later_stages_run_again_and_why_names_the_field(
    sluice: Sluice, prefect_server: str, finished_store: Path, tiny_recipe: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    shutil.copytree(finished_store, store)
    before = stage_statuses(prefect_server, store)
    written = {path: path.stat().st_mtime_ns for path in (store / "datasets" / "extract").rglob("*.parquet")}
    changed = ["--set", "filter.thresholds.gopher_min_words=20"]
    sluice("corpus", str(tiny_recipe), "--store", str(store), *changed)
    after = stage_statuses(prefect_server, store)
    in_recipe = [name for name in before if before[name]["fingerprint"]]
    assert [name for name in in_recipe if before[name]["fingerprint"] == after[name]["fingerprint"]] == [
        "fetch",
        "extract",
    ]
    assert {path: path.stat().st_mtime_ns for path in (store / "datasets" / "extract").rglob("*.parquet")} == written
    assert after["filter"]["rows"] >= before["filter"]["rows"]

    explained = json.loads(sluice("why", "tokens", "--store", str(store), "--json").stdout)
    assert explained["changes"] == [
        {"stage": "filter", "field": "thresholds.gopher_min_words", "before": None, "after": 20.0}
    ]
    words = sluice("why", "filter", "--store", str(store)).stdout
    assert "filter.thresholds.gopher_min_words changed from None to 20.0" in words
    assert "same fingerprint" in sluice("why", "extract", "--store", str(store)).stdout


def test_an_unknown_stage_is_named(sluice: Sluice, finished_store: Path) -> None:
    done = sluice("why", "filtre", "--store", str(finished_store), expect=2)
    assert "no stage called 'filtre'" in done.stderr
