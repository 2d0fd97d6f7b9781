"""A run's name: it sorts by time."""

from pathlib import Path

from flows.recipe.settings import RunSettings
from flows.store.run_record import Recorder, newest_runs
from tasks.dataset.store import Store


def start(store: Store) -> str:
    return Recorder.start(
        "crawl-to-chat", {"name": "tiny"}, "CC-MAIN-2026-47", RunSettings(store=store.url), {}
    ).record.run


def test_a_run_is_the_newest_although_the_clock_was_set_back(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    first = start(store)
    ahead = "29990101T000000.000000-tiny"
    text = store.read_bytes(f"runs/{first}.json").replace(first.encode(), ahead.encode())
    store.write_bytes(f"runs/{ahead}.json", text)
    later = [start(store), start(store)]
    assert [record.run for record in newest_runs(store)] == [*reversed(later), ahead, first]
