"""Each WARC asked for has a decision; one that cannot be had ends the run, or is left out by a recipe that says so."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from tasks.base.errors import PermanentError
from tasks.dataset.manifest import decisions_folder
from tasks.dataset.parts import part_name, read_part
from tasks.dataset.stage import PartJob
from tasks.dataset.store import Store
from tasks.extract.config import ExtractionConfig
from tasks.fetch.crawl_listing import SourceConfig
from tasks.fetch.warc_files import drop_warc, is_at_hand, stored_path
from tasks.part_runner import run_part
from tasks.sources.downloading import DamagedWarc
from tasks.sources.transfer import NotFound, TransferConfig
from tasks.warc.content import NotAWarc
from tests.tasks.crawl_mirror import (
    CRAWL,
    Mirror,
    flip,
    gzip_members,
    warc_path,
    warc_records,
)

PATH = warc_path(2)
NAME = f"{CRAWL}-00002"
QUICK = TransferConfig(requests_per_second=10_000, first_pause_seconds=0.001, longest_pause_seconds=0.01)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "store"))


def job(store: Store, base: object, max_failed_share: float = 0.0) -> PartJob:
    """The job that fetches the third WARC."""
    source = SourceConfig(base=str(base), crawl=CRAWL, max_failed_share=max_failed_share, transfer=QUICK)
    return PartJob(
        store=store.url,
        stage="fetch",
        fingerprint="f",
        index=2,
        inputs="i",
        config={},
        upstream={},
        source=source.model_dump(mode="json"),
        file=PATH,
    )


def extraction(fetch: PartJob) -> PartJob:
    """The job that extracts what `fetch` brings."""
    config = ExtractionConfig().model_dump(mode="json")
    return dataclasses.replace(fetch, stage="extract", config=config, upstream={"fetch": "f"})


def rows(store: Store, path: str) -> list[dict[str, Any]]:
    return [row for table in read_part(store, path) for row in table.to_pylist()]


def decided(store: Store, stage: str) -> list[dict[str, Any]]:
    return rows(store, f"{decisions_folder(stage, 'f')}/{part_name(2)}")


def test_a_warc_that_is_had(mirror: Mirror, store: Store) -> None:
    footer = run_part(job(store, mirror.base))
    assert footer.counters == {"bytes": 10_182, "damaged": 0, "kept": 1, "read": 1, "wrong_digests": 0}
    assert not footer.failed
    (row,) = rows(store, job(store, mirror.base).path)
    assert (row["name"], row["path"], row["crawl"], row["bytes"], row["clipped"]) == (NAME, PATH, CRAWL, 10_182, False)
    assert decided(store, "fetch") == [
        {
            "id": NAME,
            "stage": "fetch",
            "kept": True,
            "reasons": [],
            "path": PATH,
            "bytes": 10_182,
            "records": 6,
            "verified": 5,
            "wrong_digests": 0,
            "damaged_at": None,
        }
    ]


@pytest.mark.parametrize(
    ("content", "reason", "error"),
    [
        (None, "missing", NotFound),
        (b"<html>Moved</html>", "not_a_warc", NotAWarc),
        (b"\x1f\x8b\x08\x00 no gzip at all", "damaged", DamagedWarc),
    ],
)
@pytest.mark.parametrize("over", ["http", "folder"])
def test_a_warc_that_cannot_be_had(
    mirror: Mirror, store: Store, over: str, content: bytes | None, reason: str, error: type[PermanentError]
) -> None:
    file = mirror.root / PATH
    whole = file.read_bytes()
    if content is None:
        file.unlink()
    else:
        file.write_bytes(content)
    base = mirror.base if over == "http" else mirror.root
    with pytest.raises(error, match=rf"{NAME}.*source\.max_failed_share"):
        run_part(job(store, base))
    assert not store.exists(job(store, base).path)
    lenient = job(store, base, max_failed_share=0.1)
    footer = run_part(lenient)
    assert footer.counters == {"failed": 1, "kept": 0, "read": 1, f"removed.{reason}": 1}
    assert footer.failed
    assert not is_at_hand(lenient)
    assert rows(store, lenient.path) == []
    (decision,) = decided(store, "fetch")
    assert (decision["id"], decision["kept"], decision["reasons"]) == (NAME, False, [reason])
    extracted = run_part(extraction(lenient))
    assert (extracted.rows, extracted.counters, decided(store, "extract")) == (0, {}, [])
    store.remove(lenient.path)
    file.write_bytes(whole)
    assert not run_part(lenient).failed


def test_a_warc_that_is_damaged_at_the_source_is_read_around_the_damage(mirror: Mirror, store: Store) -> None:
    whole, at = (mirror.root / PATH).read_bytes(), len(gzip_members(warc_records(5)[:3]))
    (mirror.root / PATH).write_bytes(whole[: at + 90] + b"????" + whole[at + 94 :])
    fetch = job(store, mirror.base)
    assert run_part(fetch).counters["damaged"] == 1
    assert decided(store, "fetch")[0]["damaged_at"] == at
    assert is_at_hand(fetch)
    run_part(extraction(fetch))
    found = decided(store, "extract")
    assert len(found) == 5
    assert {row["id"]: row["reasons"] for row in found}[f"{NAME}:{at}"] == ["damaged_gzip"]


def test_a_flip_that_gzip_does_not_mind_makes_the_same_part(mirror: Mirror, store: Store, tmp_path: Path) -> None:
    mirror.faults[:] = [flip(len(gzip_members(warc_records(5)[:3])) + 4)]
    fetch = job(store, mirror.base)
    run_part(fetch)
    assert is_at_hand(fetch)
    other = Store(str(tmp_path / "other"))
    run_part(job(other, mirror.root))
    for path in (fetch.path, f"{decisions_folder('fetch', 'f')}/{part_name(2)}"):
        assert store.read_bytes(path) == other.read_bytes(path)


def test_bytes_that_changed_in_the_store_are_not_at_hand(mirror: Mirror, store: Store) -> None:
    fetch = job(store, mirror.base)
    run_part(fetch)
    stored = store.local(stored_path(SourceConfig(base=mirror.base, crawl=CRAWL), PATH))
    content = bytearray(stored.read_bytes())
    content[-20] ^= 1
    stored.write_bytes(content)
    assert not is_at_hand(fetch)
    drop_warc(fetch)
    assert not stored.exists()
