"""One cache folder for many: processes at once, kills, damage, and datasets that lie in an object store."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pytest

from model.base.errors import BadInput
from model.data.dataset_parts import content_digest, local_dataset, manifest_beside
from model.data.token_cache import open_token_cache
from model.pretrain import pretrain
from tasks.dataset.parts import PartWriter
from tasks.dataset.store import Store
from tests.conftest import ROOT
from tests.model.tiny_corpus import TinyCorpus, write_json

OPEN = """
import sys, time
from pathlib import Path
from model.data.token_cache import open_token_cache
while time.time() < float(sys.argv[3]):
    pass
found = open_token_cache(sys.argv[1], Path(sys.argv[2]))
print(found.digest, len(found.tokens))
"""


def write_manifest(dataset: Path, **changes: Any) -> None:
    """Writes the manifest of a dataset's parts as a finished stage does."""
    parts = [{"path": part.name, "digest": content_digest(part)} for part in sorted(dataset.glob("part-*"))]
    write_json(manifest_beside(dataset), {"parts": parts, **changes})


@pytest.fixture
def dataset(corpus: TinyCorpus, tmp_path: Path) -> Path:
    """The tiny corpus's tokens with a manifest."""
    folder = tmp_path / "tokens"
    folder.mkdir()
    for part in corpus.tokens.glob("part-*"):
        (folder / part.name).write_bytes(part.read_bytes())
    write_manifest(folder)
    return folder


@pytest.fixture
def bucket(dataset: Path) -> str:
    """The URL of a copy of the dataset in an object store."""
    files = fsspec.filesystem("memory")
    for file in (*dataset.iterdir(), manifest_beside(dataset)):
        files.pipe_file(f"/bucket/{file.relative_to(dataset.parent)}", file.read_bytes())
    return "memory://bucket/tokens"


def names(cache: Path) -> list[str]:
    """What the cache folder holds, without its locks."""
    return sorted(path.name for path in cache.glob("[!.]*"))


def test_processes_that_need_the_same_copy_at_once_share_one(dataset: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", OPEN, str(dataset), str(tmp_path / "cache"), str(time.time() + 2.0)]
    started = [
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(3)
    ]
    said = [process.communicate(timeout=120) for process in started]
    assert [process.returncode for process in started] == [0, 0, 0], said
    assert len({output for output, _ in said}) == 1
    assert len(names(tmp_path / "cache")) == 1


def test_the_copy_belongs_to_the_content_not_to_the_file(dataset: Path, tmp_path: Path) -> None:
    first = open_token_cache(dataset, tmp_path / "cache")
    beside = manifest_beside(dataset)
    moved = dataset.rename(tmp_path / "elsewhere")
    beside.rename(manifest_beside(moved))
    for part in moved.glob("part-*"):
        part.touch()
    assert open_token_cache(moved, tmp_path / "cache").digest == first.digest
    assert len(names(tmp_path / "cache")) == 1


def test_what_a_killed_builder_left_is_cleared_and_a_damaged_copy_is_rebuilt(dataset: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    whole = open_token_cache(dataset, cache).tokens.tolist()
    (copy,) = cache.glob("tokens-*")
    (cache / f"{copy.name}.tmp-0").mkdir()
    with (copy / "tokens.bin").open("rb+") as file:
        file.truncate(100)
    assert open_token_cache(dataset, cache).tokens.tolist() == whole
    assert names(cache) == [copy.name]


def test_one_flipped_bit_in_a_part_is_found_before_training(dataset: Path, tmp_path: Path) -> None:
    part = dataset / "part-00001.parquet"
    damaged = bytearray(part.read_bytes())
    damaged[200] ^= 1
    part.write_bytes(damaged)
    with pytest.raises(BadInput, match=r"part-00001\.parquet is damaged: its rows have the digest"):
        open_token_cache(dataset, tmp_path / "cache")
    part.write_bytes(b"PAR1")
    with pytest.raises(BadInput, match=r"part-00001\.parquet cannot be read"):
        open_token_cache(dataset, tmp_path / "cache")


def test_a_dataset_in_an_object_store_is_copied_once(bucket: str, dataset: Path, tmp_path: Path) -> None:
    near = open_token_cache(dataset, tmp_path / "near")
    far = open_token_cache(bucket, tmp_path / "far")
    assert (far.digest, far.tokens.tolist()) == (near.digest, near.tokens.tolist())
    fsspec.filesystem("memory").rm("/bucket/tokens/part-00000.parquet")
    (copied,) = (tmp_path / "far").glob("dataset-*")
    (copied / ".fetching-killed").mkdir()
    assert open_token_cache(bucket, tmp_path / "far").digest == near.digest, "the copy is enough"
    assert not list(copied.glob(".fetching-*"))
    assert [name.split("-")[0] for name in names(tmp_path / "far")] == ["dataset", "tokens"]


def test_the_digest_is_the_one_that_stages_write(tmp_path: Path) -> None:
    schema = pa.schema([("number", pa.int64())])
    with PartWriter(Store(str(tmp_path)), "part-00000.parquet", schema, "tokens", "f", "i") as writer:
        for start in (0, 1000):
            writer.write(pa.table({"number": range(start, start + 1000)}, schema=schema))
        footer = writer.commit({"documents": 2000})
    assert content_digest(tmp_path / "part-00000.parquet") == footer.digest


def test_a_part_damaged_in_transit_never_enters_the_cache(bucket: str, tmp_path: Path) -> None:
    files = fsspec.filesystem("memory")
    content = bytearray(files.cat_file("/bucket/tokens/part-00000.parquet"))
    content[300] ^= 4
    files.pipe_file("/bucket/tokens/part-00000.parquet", bytes(content))
    with pytest.raises(BadInput, match=r"memory://bucket/tokens/part-00000\.parquet is damaged"):
        local_dataset(bucket, tmp_path / "cache")
    assert not list((tmp_path / "cache").rglob("*.parquet"))


def test_an_unfinished_or_unknown_dataset_is_reported(bucket: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"memory://bucket/none has no manifest, so it is not a finished dataset"):
        local_dataset("memory://bucket/none", tmp_path)
    with pytest.raises(BadInput, match="nosuch://bucket cannot be read"):
        local_dataset("nosuch://bucket", tmp_path)
    fsspec.filesystem("memory").rm("/bucket/tokens/part-00001.parquet")
    with pytest.raises(BadInput, match=r"part-00001\.parquet is missing, but its manifest lists it"):
        local_dataset(bucket, tmp_path)


def test_training_reads_from_an_object_store(
    bucket: str, corpus: TinyCorpus, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    near, far = tmp_path / "near", tmp_path / "far"
    assert pretrain(corpus.pretrain_config(near, 2)) == 0
    config = json.loads(corpus.pretrain_config(far, 2).read_text())
    config |= {"tokens": bucket, "cache": str(tmp_path / "cache")}
    assert pretrain(write_json(tmp_path / "far.json", config)) == 0
    losses = []
    for folder in (near, far):
        events = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
        losses.append([event["loss"] for event in events if "loss" in event])
    assert losses[0] == losses[1] and losses[0]
