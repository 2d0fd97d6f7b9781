"""Token parts and packing plans become batches, and damaged ones become clear messages."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from model.base.errors import BadInput
from model.base.sizes import ModelShape
from model.data.dataset_parts import manifest_beside
from model.data.packed_sequences import IGNORED
from model.data.token_cache import open_token_cache
from model.data.token_data import open_training_data
from tests.model.tiny_corpus import SHAPE, TinyCorpus, write_json, write_plan, write_tokens

DOCUMENTS: list[dict[str, Any]] = [
    {"id": "a", "tokens": [0, 5, 6, 7, 0], "n_bytes": 9, "split": "train"},
    {"id": "b", "tokens": [0, 8, 0], "n_bytes": 2, "split": "validation"},
    {"id": "c", "tokens": [0, 9, 10, 0], "n_bytes": 4, "split": "train"},
]


def small_shape(**changes: Any) -> ModelShape:
    """A shape with a context of 8."""
    return ModelShape(**{**SHAPE, "vocab_size": 11, "context": 8, **changes})


def segment(part: int, row: int, start: int, length: int) -> dict[str, int]:
    """One segment of a plan."""
    return {"part": part, "row": row, "start": start, "length": length}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two token parts and a plan of two sequences."""
    write_tokens(tmp_path / "tokens", [DOCUMENTS[:2], DOCUMENTS[2:]])
    write_plan(tmp_path / "packing", [[segment(0, 0, 0, 5), segment(1, 0, 0, 2)], [segment(1, 0, 2, 2)]])
    return tmp_path


def test_batches_hold_the_planned_segments(folder: Path) -> None:
    cache = open_token_cache(folder / "tokens", folder / "cache")
    data, _ = open_training_data(cache, folder / "packing", small_shape(), 2, seed=0)
    batch = data.batch(0, 0, 1)
    rows = {tuple(row.tolist()): target.tolist() for row, target in zip(batch.inputs, batch.targets, strict=True)}
    assert rows == {
        (0, 5, 6, 7, 0, 0, 9, 0): [5, 6, 7, 0, IGNORED, 9, IGNORED, IGNORED],
        (10, 0, 0, 0, 0, 0, 0, 0): [0] + [IGNORED] * 7,
    }
    assert (batch.targets_in_step, batch.tokens_in_step) == (6, 9)


@pytest.mark.parametrize("dtype", ["O", "int64", "V0", 3, None])
def test_a_copy_whose_tokens_are_no_tokens_is_made_anew(folder: Path, dtype: object) -> None:
    """numpy would map bytes of a file as pointers to objects, and follow them."""
    open_token_cache(folder / "tokens", folder / "cache")
    (summary,) = (folder / "cache").glob("tokens-*/summary.json")
    write_json(summary, {**json.loads(summary.read_text()), "dtype": dtype})
    cache = open_token_cache(folder / "tokens", folder / "cache")
    assert cache.tokens.dtype == np.uint16 and cache.document(0).tolist() == [0, 5, 6, 7, 0]


@pytest.mark.parametrize("name", ["parts", "offsets", "byte_counts", "validation"])
def test_a_copy_whose_header_asks_for_terabytes_is_made_anew(folder: Path, name: str) -> None:
    open_token_cache(folder / "tokens", folder / "cache")
    (file,) = (folder / "cache").glob(f"tokens-*/{name}.npy")
    with file.open("wb") as stream:
        header = {"shape": (1 << 40,), "fortran_order": False, "descr": "<i8"}
        np.lib.format.write_array_header_1_0(stream, header)
    assert len(open_token_cache(folder / "tokens", folder / "cache").offsets) == 4


def test_the_cache_is_built_once_and_mapped(folder: Path) -> None:
    first = open_token_cache(folder / "tokens", folder / "cache")
    built = {path: path.stat().st_mtime_ns for path in (folder / "cache").rglob("*")}
    second = open_token_cache(folder / "tokens", folder / "cache")
    assert {path: path.stat().st_mtime_ns for path in (folder / "cache").rglob("*")} == built
    assert isinstance(second.tokens, np.memmap) and second.tokens.dtype == np.uint16
    assert second.tokens.tolist() == [0, 5, 6, 7, 0, 0, 8, 0, 0, 9, 10, 0]
    assert second.validation.tolist() == [False, True, False]
    assert first.digest == second.digest and second.largest_token == 10


def test_other_data_has_another_digest(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = tmp_path_factory.mktemp("other")
    write_tokens(other / "tokens", [DOCUMENTS[:2], [{**DOCUMENTS[2], "tokens": [0, 9, 9, 0]}]])
    caches = [open_token_cache(root / "tokens", other / "cache") for root in (folder, other)]
    digests = {open_training_data(cache, folder / "packing", small_shape(), 2, 0)[1] for cache in caches}
    assert len(digests) == 2


def test_uint32_tokens_are_read(tmp_path: Path) -> None:
    (tmp_path / "tokens").mkdir()
    columns = {
        "id": ["a"],
        "tokens": pa.array([[0, 70_000, 0]], pa.list_(pa.uint32())),
        "n_bytes": pa.array([3], pa.int32()),
        "split": ["train"],
    }
    pq.write_table(pa.table(columns), tmp_path / "tokens" / "part-00000.parquet")
    cache = open_token_cache(tmp_path / "tokens", tmp_path / "cache")
    assert cache.tokens.tolist() == [0, 70_000, 0]


def test_a_vocabulary_that_is_too_small_is_refused(folder: Path) -> None:
    cache = open_token_cache(folder / "tokens", folder / "cache")
    with pytest.raises(BadInput, match=r"holds id 10, but shape\.vocab_size is 10"):
        open_training_data(cache, folder / "packing", small_shape(vocab_size=10), 2, 0)


def test_a_plan_for_a_longer_context_is_refused(folder: Path) -> None:
    cache = open_token_cache(folder / "tokens", folder / "cache")
    with pytest.raises(BadInput, match=r"a sequence of 7 tokens, but shape\.context 4 takes at most 5"):
        open_training_data(cache, folder / "packing", small_shape(context=4), 2, 0)


@pytest.mark.parametrize(
    "wrong", [segment(2, 0, 0, 1), segment(1, 1, 0, 1), segment(0, 0, 3, 3), segment(0, -1, 0, 1), segment(0, 0, 0, 0)]
)
def test_a_plan_of_another_dataset_is_refused(folder: Path, wrong: dict[str, int]) -> None:
    write_plan(folder / "other", [[segment(0, 0, 0, 5)], [wrong]])
    cache = open_token_cache(folder / "tokens", folder / "cache")
    with pytest.raises(BadInput, match=r"segment 1 \(part .* is not in the tokens dataset"):
        open_training_data(cache, folder / "other", small_shape(), 2, 0)


def test_an_empty_dataset_is_refused(tmp_path: Path) -> None:
    write_tokens(tmp_path / "tokens", [[]])
    with pytest.raises(BadInput, match="holds no tokens"):
        open_token_cache(tmp_path / "tokens", tmp_path / "cache")
    with pytest.raises(BadInput, match=r"holds no part-00000\.parquet"):
        open_token_cache(tmp_path / "nothing", tmp_path / "cache")
    assert not list((tmp_path / "cache").glob("[!.]*")), "nothing half built is left"


def test_an_empty_plan_is_refused(folder: Path) -> None:
    write_plan(folder / "empty", [])
    cache = open_token_cache(folder / "tokens", folder / "cache")
    with pytest.raises(BadInput, match="holds no sequences"):
        open_training_data(cache, folder / "empty", small_shape(), 2, 0)


def test_damaged_parts_are_named(folder: Path) -> None:
    part = folder / "tokens" / "part-00001.parquet"
    whole = part.read_bytes()
    part.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BadInput, match=r"part-00001\.parquet cannot be read"):
        open_token_cache(folder / "tokens", folder / "cache")
    pq.write_table(pa.table({"id": ["a"]}), part)
    with pytest.raises(BadInput, match=r"part-00001\.parquet has no column tokens, n_bytes, split"):
        open_token_cache(folder / "tokens", folder / "cache")
    part.rename(folder / "tokens" / "part-00002.parquet")
    with pytest.raises(BadInput, match=r"part-00001\.parquet is missing"):
        open_token_cache(folder / "tokens", folder / "cache")


def test_only_the_parts_of_the_manifest_are_read(folder: Path) -> None:
    tokens, packing = folder / "tokens", folder / "packing"
    write_json(manifest_beside(tokens), {"parts": [{"path": "part-00000.parquet", "rows": 2}]})
    assert open_token_cache(tokens, folder / "cache").tokens.tolist() == [0, 5, 6, 7, 0, 0, 8, 0]
    names = [{"path": f"part-{number:05d}.parquet"} for number in range(3)]
    write_json(manifest_beside(tokens), {"parts": names[:2]})
    cache = open_token_cache(tokens, folder / "cache")
    assert len(cache.tokens) == 12
    shutil.copy(packing / "part-00000.parquet", packing / "part-00001.parquet")
    write_json(manifest_beside(packing), {"parts": names[:1]})
    assert open_training_data(cache, packing, small_shape(), 2, 0)[0].batch(0, 0, 1).tokens_in_step == 9
    write_json(manifest_beside(packing), {"parts": names})
    with pytest.raises(BadInput, match=r"packing/part-00002\.parquet is missing, but packing\.manifest\.json lists it"):
        open_training_data(cache, packing, small_shape(), 2, 0)


FOREIGN_NAMES = ["../part-00000.parquet", "..", "", "part-00000.parquet\x00", "a\\part-00000.parquet"]


@pytest.mark.parametrize(
    "manifest", [[], {}, {"parts": [{}]}, *({"parts": [{"path": name}]} for name in FOREIGN_NAMES)]
)
def test_a_damaged_manifest_is_refused(folder: Path, manifest: Any) -> None:
    write_json(manifest_beside(folder / "tokens"), manifest)
    with pytest.raises(BadInput, match=r"manifest\.json is damaged"):
        open_token_cache(folder / "tokens", folder / "cache")


def test_a_document_longer_than_the_context_is_packed_in_pieces(corpus: TinyCorpus) -> None:
    cache = open_token_cache(corpus.tokens, corpus.root / "cache")
    assert np.diff(cache.offsets).max() > SHAPE["context"] + 1
    data, _ = open_training_data(cache, corpus.packing, ModelShape(**SHAPE), 4, 0)
    assert data.batch(0, 0, 1).inputs.shape == (4, SHAPE["context"])
