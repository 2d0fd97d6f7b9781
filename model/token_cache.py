"""A memory-mapped local copy of a tokens dataset: decoded from Parquet once, then read like an array.

Notable:
- The copy is keyed by the names, sizes and times of the parts, built aside and renamed, so that several processes may
  build it at once and a killed build leaves nothing half done under the final name.
- Memory is bounded by one row group of Parquet, however large the dataset is.
- What cannot be trained on (an unreadable part, ids beyond the vocabulary, no tokens at all) is found here, before the
  first step.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from model.errors import BadInput
from model.full_disk import writing

_VERSION = 1
_MANIFEST = "manifest.json"
_COLUMNS = ("id", "tokens", "n_bytes", "split")


@dataclass(frozen=True)
class TokenCache:
    """All documents of a tokens dataset, part after part, row after row."""

    tokens: npt.NDArray[Any]
    """(tokens) ids, memory mapped, in the type of the dataset."""
    offsets: npt.NDArray[np.int64]
    """(documents + 1) first token of each document."""
    parts: npt.NDArray[np.int64]
    """(parts + 1) first document of each part."""
    byte_counts: npt.NDArray[np.int32]
    """(documents) UTF-8 bytes of each document's text."""
    validation: npt.NDArray[np.bool_]
    """(documents) whether the document is held out."""
    largest_token: int
    """Largest id in the dataset."""
    digest: str
    """xxh3-128 of all ids: what training calls the data's identity."""


def open_token_cache(dataset: Path, cache: Path) -> TokenCache:
    """The copy of `dataset` under the folder `cache`, built first where it is missing.

    Raises:
        BadInput: no parts, a part that cannot be read, wrong columns, or not a single token.
    """
    parts = part_files(dataset)
    key = xxhash.xxh3_64_hexdigest(
        repr((_VERSION, [(part.name, part.stat().st_size, part.stat().st_mtime_ns) for part in parts])).encode()
    )
    folder = cache / f"tokens-{key}"
    if not folder.is_dir():
        _build(parts, dataset, folder)
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    return TokenCache(
        tokens=np.memmap(folder / "tokens.bin", dtype=summary["dtype"], mode="r"),
        offsets=np.load(folder / "offsets.npy", mmap_mode="r"),
        parts=np.load(folder / "parts.npy"),
        byte_counts=np.load(folder / "byte_counts.npy", mmap_mode="r"),
        validation=np.load(folder / "validation.npy", mmap_mode="r"),
        largest_token=summary["largest_token"],
        digest=summary["digest"],
    )


def part_files(dataset: Path) -> list[Path]:
    """The parts of a dataset in order, checked to be numbered from 0 without a gap.

    Where the folder has a manifest.json they are the ones that it lists, since others may be left from a longer
    listing; without one they are all that are there.

    Raises:
        BadInput: no parts, one that is missing, or a manifest that cannot be read.
    """
    listed = _listed_parts(dataset / _MANIFEST)
    found = sorted(dataset.glob("part-*.parquet"))
    parts = found if listed is None else [dataset / name for name in listed]
    if not parts:
        raise BadInput(f"{dataset} holds no part-00000.parquet; is it the folder of a finished dataset?")
    for number, part in enumerate(parts):
        if part.name != f"part-{number:05d}.parquet":
            raise BadInput(f"{dataset}: part-{number:05d}.parquet is missing; run the stage that makes it again")
        if part not in found:
            raise BadInput(f"{part} is missing, but {_MANIFEST} lists it; run the stage that makes it again")
    return parts


def _listed_parts(manifest: Path) -> list[str] | None:
    try:
        names = [str(part["path"]) for part in json.loads(manifest.read_text(encoding="utf-8"))["parts"]]
        if strange := [name for name in names if name != Path(name).name]:
            raise ValueError(f"{strange[0]} is not a file's name")
        return names
    except FileNotFoundError:
        return None
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise BadInput(f"{manifest} is damaged ({error!r}); delete it and run the stage that makes it again") from error


def read_row_groups(part: Path, columns: tuple[str, ...]) -> Iterator[pa.Table]:
    """The row groups of a part.

    Raises:
        BadInput: the file is damaged or lacks a column.
    """
    try:
        with pq.ParquetFile(part) as file:
            missing = [column for column in columns if column not in file.schema_arrow.names]
            if missing:
                raise BadInput(
                    f"{part} has no column {', '.join(missing)}; it has {', '.join(file.schema_arrow.names)}"
                )
            for group in range(file.num_row_groups):
                yield file.read_row_group(group, columns=list(columns))
    except (pa.ArrowException, OSError) as error:
        raise BadInput(f"{part} cannot be read ({error}); delete it and run the stage that makes it again") from error


def _build(parts: list[Path], dataset: Path, folder: Path) -> None:
    temporary = folder.with_name(f"{folder.name}.tmp-{os.getpid()}")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        with writing(folder):
            _decode(parts, dataset, temporary)
        try:
            temporary.rename(folder)
        except OSError:
            if not folder.is_dir():
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _decode(parts: list[Path], dataset: Path, folder: Path) -> None:
    lengths, byte_counts, validation, first_documents = [], [], [], [0]
    digest, largest, dtype = xxhash.xxh3_128(), -1, None
    with (folder / "tokens.bin").open("wb") as file:
        for part in parts:
            documents = 0
            for table in read_row_groups(part, _COLUMNS):
                flat, counts = _flatten(table["tokens"], part)
                dtype = _same_dtype(dtype, flat.dtype, part)
                largest = max(largest, int(flat.max()) if len(flat) else -1)
                file.write(flat.data)
                digest.update(flat.data)
                lengths.append(counts)
                byte_counts.append(table["n_bytes"].to_numpy().astype(np.int32))
                validation.append(np.array(table["split"].to_pylist()) == "validation")
                documents += table.num_rows
            first_documents.append(first_documents[-1] + documents)
        file.flush()
        os.fsync(file.fileno())
    if largest < 0 or dtype is None:
        raise BadInput(f"the tokens dataset {dataset} holds no tokens; nothing can be trained on it")
    _save(folder / "offsets.npy", np.concatenate([[0], np.cumsum(np.concatenate(lengths), dtype=np.int64)]))
    _save(folder / "parts.npy", np.array(first_documents, dtype=np.int64))
    _save(folder / "byte_counts.npy", np.concatenate(byte_counts))
    _save(folder / "validation.npy", np.concatenate(validation))
    summary = {"dtype": dtype.name, "largest_token": largest, "digest": digest.hexdigest()}
    (folder / "summary.json").write_text(json.dumps(summary) + "\n", encoding="utf-8")


def _save(file: Path, array: npt.NDArray[Any]) -> None:
    # np.save writes through C and reports a full disk without its error number.
    with file.open("wb") as stream:
        np.lib.format.write_array_header_1_0(stream, np.lib.format.header_data_from_array_1_0(array))
        stream.write(array.data)


def _flatten(column: pa.ChunkedArray, part: Path) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]:
    if not pa.types.is_list(column.type) and not pa.types.is_large_list(column.type):
        raise BadInput(f"{part}: the column tokens is {column.type}, not a list of uint16 or uint32")
    array = column.combine_chunks()
    flat = array.flatten().to_numpy(zero_copy_only=False)
    if flat.dtype not in (np.uint16, np.uint32):
        raise BadInput(f"{part}: the column tokens is {column.type}, not a list of uint16 or uint32")
    counts = array.value_lengths().fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    return np.ascontiguousarray(flat), counts


def _same_dtype(known: np.dtype[Any] | None, found: np.dtype[Any], part: Path) -> np.dtype[Any]:
    if known is not None and known != found:
        raise BadInput(f"{part}: its tokens are {found}, those of the parts before it {known}")
    return found
