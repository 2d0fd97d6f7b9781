"""Reading of torch.distributed.checkpoint folders without running code from them.

Notable:
- torch stores the metadata and whatever is not a tensor (rates, flags) as pickles, which can call any Python function.
  Digests reveal damage, not who wrote a file.
- The metadata's pickle gets no class or function of ours or torch's, which it could call or change, but records that
  only keep what they are given. The metadata are made of these, each value of its own type.
"""

import io
import pickle
from pathlib import Path
from typing import Any, cast

import torch
from torch.distributed.checkpoint.default_planner import DefaultLoadPlanner
from torch.distributed.checkpoint.filesystem import FileSystemReader, _StorageInfo
from torch.distributed.checkpoint.metadata import (
    BytesStorageMetadata,
    ChunkStorageMetadata,
    Metadata,
    MetadataIndex,
    StorageMeta,
    TensorProperties,
    TensorStorageMetadata,
)
from torch.distributed.checkpoint.planner import ReadItem

from model.checkpoints.folders import METADATA, listed_digests

_NAMES = {
    "torch.distributed.checkpoint.metadata": {
        "BytesStorageMetadata",
        "ChunkStorageMetadata",
        "Metadata",
        "MetadataIndex",
        "StorageMeta",
        "TensorProperties",
        "TensorStorageMetadata",
        "_MEM_FORMAT_ENCODING",
    },
    "torch.distributed.checkpoint.filesystem": {"_StorageInfo"},
    "torch": {"Size"},
    "torch.serialization": {"_get_layout"},
    "pathlib": {"PosixPath", "WindowsPath"},
}
"""What metadata may name, by module, besides torch's dtypes."""
_MAX_METADATA_BYTES = 1 << 28


class CheckpointReader(FileSystemReader):
    """A reader of one checkpoint.

    It reads the metadata at once: torch would report a later refusal only as missing metadata.
    """

    def __init__(self, folder: Path) -> None:
        """Read the metadata; raises `pickle.UnpicklingError` if they are not those of a checkpoint of these files."""
        super().__init__(folder)
        # From memory: a length in a pickle is asked of a file before it is known to be there.
        try:
            if (folder / METADATA).stat().st_size > _MAX_METADATA_BYTES:
                raise ValueError(f"it has more than {_MAX_METADATA_BYTES >> 20} MiB")
            stream = io.BytesIO((folder / METADATA).read_bytes())
            self._metadata = _metadata(_MetadataUnpickler(stream).load(), frozenset(listed_digests(folder)))
        except Exception as error:  # whatever comes of bytes that are no pickle, or not of metadata
            raise pickle.UnpicklingError(f"its {METADATA} holds no metadata of a checkpoint: {error}") from error

    def read_metadata(self, *args: Any, **kwargs: Any) -> Metadata:
        """Return the metadata of the whole checkpoint."""
        self._metadata.storage_meta = StorageMeta(load_id=self.load_id)
        return self._metadata


class CheckpointPlanner(DefaultLoadPlanner):
    """torch's planner, limited to tensors and plain values; anything else raises `pickle.UnpicklingError`."""

    def load_bytes(self, read_item: ReadItem, value: io.BytesIO) -> None:
        """Put a plain value in its place in the state; torch's planner would put whatever a pickle asks for."""
        try:
            plain = torch.load(value, weights_only=True)
        except (pickle.UnpicklingError, RuntimeError) as error:
            name = read_item.dest_index.fqn
            raise pickle.UnpicklingError(f"{name} is neither a tensor nor a plain value") from error
        ours = io.BytesIO()
        torch.save(plain, ours)
        ours.seek(0)
        super().load_bytes(read_item, ours)


class _Record:
    """Stands for an object of a pickle: what it was made of and what state it was given."""

    arguments: tuple[Any, ...] = ()
    state: Any = None

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _MetadataUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        dtype = getattr(torch, name, None) if module == "torch" else None
        if isinstance(dtype, torch.dtype):
            return dtype
        if name in _NAMES.get(module, ()):
            return type(name, (_Record,), {})
        raise TypeError(f"it names {module}.{name}, which no checkpoint of a model needs")


def _metadata(found: Any, files: frozenset[str]) -> Metadata:
    """Return the metadata that a record holds, of which all data lie in `files` of the checkpoint's own folder."""
    state = _state(found, "Metadata")
    stored = {_index(index): _place(place, files) for index, place in state["storage_data"].items()}
    return Metadata({_of(str, name): _kept(kept) for name, kept in state["state_dict_metadata"].items()}, None, stored)


def _kept(record: Any) -> TensorStorageMetadata | BytesStorageMetadata:
    if type(record).__name__ == "BytesStorageMetadata":
        return BytesStorageMetadata()
    state = _state(record, "TensorStorageMetadata")
    dtype = _of(torch.dtype, _state(state["properties"], "TensorProperties")[0])
    chunks = [_state(chunk, "ChunkStorageMetadata") for chunk in _of(list, state["chunks"])]
    placed = [ChunkStorageMetadata(_size(chunk["offsets"]), _size(chunk["sizes"])) for chunk in chunks]
    return TensorStorageMetadata(TensorProperties(dtype), _size(state["size"]), placed)


def _index(record: Any) -> MetadataIndex:
    state = _state(record, "MetadataIndex")
    offset, hint = state.get("offset"), state.get("index")
    return MetadataIndex(
        _of(str, state["fqn"]), None if offset is None else _size(offset), None if hint is None else _count(hint)
    )


def _place(record: Any, files: frozenset[str]) -> _StorageInfo:
    state = _state(record, "_StorageInfo")
    file = _of(str, state["relative_path"])
    if file not in files:
        raise ValueError(f"it names the file {file!r}, which the checkpoint does not list")
    if state.get("transform_descriptors"):
        raise ValueError(f"it says that {file} is compressed or encrypted, as no checkpoint of ours is")
    return _StorageInfo(file, _count(state["offset"]), _count(state["length"]))


def _state(record: Any, kind: str) -> Any:
    return _record(kind, record).state


def _record(kind: str, value: Any) -> _Record:
    if not isinstance(value, _Record) or type(value).__name__ != kind:
        raise TypeError(f"{type(value).__name__} in place of {kind}")
    return value


def _size(record: Any) -> torch.Size:
    (sizes,) = _record("Size", record).arguments
    return torch.Size([_count(size) for size in sizes])


def _count(value: Any) -> int:
    if _of(int, value) < 0:
        raise ValueError(f"{value} is negative")
    return cast(int, value)


def _of(kind: type, value: Any) -> Any:
    if type(value) is not kind:
        raise TypeError(f"{type(value).__name__} in place of {kind.__name__}")
    return value
