"""A memory-mapped local copy of a tokens dataset: decoded from Parquet once, then read like an array.

Notable:
- The copy is keyed by the digests of the parts, built aside and renamed. If several processes need it at once, one
  builds and the others wait; a killed build leaves nothing under the final name, and the next one removes the rest.
- Memory is bounded by one row group of Parquet, however large the dataset is.
- Whatever cannot be trained on (a damaged part, no tokens at all) is found here, before the first step: every part is
  checked against the digest in its manifest.
"""

import json
import os
import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

from model.base.errors import BadInput
from model.base.folder_lock import turn_in
from model.base.full_disk import writing
from model.data.dataset_parts import Part, check_part, dataset_parts, local_dataset, read_row_groups

_VERSION = 2
_TOKEN_TYPES = {"uint16": np.uint16, "uint32": np.uint32}
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
    """xxh3-128 of all ids: the data's identity."""

    def document(self, number: int) -> npt.NDArray[Any]:
        """Return the tokens of a document, boundary tokens included."""
        return self.tokens[self.offsets[number] : self.offsets[number + 1]]


def open_token_cache(dataset: str | Path, cache: Path) -> TokenCache:
    """Open the copy of `dataset` (a folder or a URL) in the folder `cache`, building it first if it is missing.

    Raises BadInput if there are no parts, a part is damaged, columns are wrong, or there is not a single token.
    """
    folder_of_parts = local_dataset(dataset, cache)
    parts = dataset_parts(folder_of_parts)
    key = xxhash.xxh3_64_hexdigest(repr((_VERSION, [part.identity for part in parts])).encode())
    folder = cache / f"tokens-{key}"
    if _opened(folder) is None:
        with turn_in(folder) as alone:
            if _opened(folder) is None:
                _build(parts, folder_of_parts, folder, alone)
    if (opened := _opened(folder)) is None:
        raise BadInput(f"the copy of {dataset} in {folder} is damaged as soon as it is written; check that disk")
    return opened


def named_token_cache(dataset: str | Path | None, cache: Path | None) -> TokenCache | None:
    """Open the copy of a dataset as `open_token_cache` does, where a config names one."""
    return open_token_cache(dataset, cache) if dataset and cache else None


def _opened(folder: Path) -> TokenCache | None:
    """Open the copy in `folder`; None if it is missing or a file has the wrong length."""
    try:
        summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
        found = TokenCache(
            tokens=np.memmap(folder / "tokens.bin", dtype=_TOKEN_TYPES[summary["dtype"]], mode="r"),
            offsets=np.load(folder / "offsets.npy", mmap_mode="r"),
            parts=np.load(folder / "parts.npy", mmap_mode="r"),
            byte_counts=np.load(folder / "byte_counts.npy", mmap_mode="r"),
            validation=np.load(folder / "validation.npy", mmap_mode="r"),
            largest_token=summary["largest_token"],
            digest=summary["digest"],
        )
    except (OSError, ValueError, LookupError, TypeError):
        return None
    documents = int(found.parts[-1])
    whole = len(found.offsets) == documents + 1 and found.offsets[-1] == len(found.tokens)
    return found if whole and len(found.byte_counts) == len(found.validation) == documents else None


def _build(parts: list[Part], dataset: Path, folder: Path, alone: bool) -> None:
    """Decode the parts aside, then rename; `alone`: no other process can be building the same copy."""
    if alone:
        for abandoned in folder.parent.glob(f"{folder.name}.tmp-*"):
            shutil.rmtree(abandoned, ignore_errors=True)
    # A process id would not do: the folder may be shared by several machines.
    temporary = folder.with_name(f"{folder.name}.tmp-{uuid.uuid4().hex}")
    try:
        with writing(folder):
            temporary.mkdir()
            _decode(parts, dataset, temporary)
        if _opened(folder) is None:
            shutil.rmtree(folder, ignore_errors=True)
        try:
            temporary.rename(folder)
        except OSError:
            if not folder.is_dir():
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _decode(parts: list[Part], dataset: Path, folder: Path) -> None:
    lengths, byte_counts, validation, first_documents = [], [], [], [0]
    digest, largest, dtype = xxhash.xxh3_128(), -1, None
    with (folder / "tokens.bin").open("wb") as file:
        for listed in parts:
            check_part(listed)
            part, documents = listed.path, 0
            for table in read_row_groups(part, _COLUMNS):
                flat, counts = _flatten(table["tokens"], part)
                if dtype is not None and dtype != flat.dtype:
                    raise BadInput(f"{part}: its tokens are {flat.dtype}, those of the parts before it {dtype}")
                dtype = flat.dtype
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
    is_list = pa.types.is_list(column.type) or pa.types.is_large_list(column.type)
    array = column.combine_chunks()
    flat = array.flatten().to_numpy(zero_copy_only=False) if is_list else np.empty(0)
    if flat.dtype.name not in _TOKEN_TYPES:
        raise BadInput(f"{part}: the column tokens is {column.type}, not a list of uint16 or uint32")
    counts = array.value_lengths().fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    return np.ascontiguousarray(flat), counts
