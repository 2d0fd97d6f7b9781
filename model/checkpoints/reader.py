"""Reading of torch.distributed.checkpoint folders without running code from them.

Notable: torch stores the metadata and whatever is not a tensor (rates, flags) as pickles, which can call any Python
function. Digests reveal damage, not who wrote a file, so only the names that a checkpoint needs are allowed here.
"""

import io
import pickle
from pathlib import Path
from typing import Any

import torch
from torch.distributed.checkpoint.default_planner import DefaultLoadPlanner
from torch.distributed.checkpoint.filesystem import FileSystemReader
from torch.distributed.checkpoint.metadata import Metadata, StorageMeta
from torch.distributed.checkpoint.planner import ReadItem

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


class CheckpointReader(FileSystemReader):
    """A reader of one checkpoint.

    It reads the metadata at once: torch would report a later refusal only as missing metadata.
    """

    def __init__(self, folder: Path) -> None:
        """Read the metadata; raises `pickle.UnpicklingError` if they name what no checkpoint needs."""
        super().__init__(folder)
        with (folder / ".metadata").open("rb") as file:
            metadata = _MetadataUnpickler(file).load()
        if not isinstance(metadata, Metadata):
            raise pickle.UnpicklingError("its .metadata holds no metadata of a checkpoint")
        self._metadata = metadata

    def read_metadata(self, *args: Any, **kwargs: Any) -> Metadata:
        """Return the metadata of the whole checkpoint."""
        self._metadata.storage_meta = self._metadata.storage_meta or StorageMeta()
        self._metadata.storage_meta.load_id = self.load_id
        return self._metadata


class CheckpointPlanner(DefaultLoadPlanner):
    """torch's planner, limited to tensors and plain values; anything else raises `pickle.UnpicklingError`."""

    def load_bytes(self, read_item: ReadItem, value: io.BytesIO) -> None:
        """Put a plain value in its place in the state; torch's planner would put whatever a pickle asks for."""
        try:
            torch.load(value, weights_only=True)
        except pickle.UnpicklingError as error:
            name = read_item.dest_index.fqn
            raise pickle.UnpicklingError(f"{name} is neither a tensor nor a plain value") from error
        value.seek(0)
        super().load_bytes(read_item, value)


class _MetadataUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        is_dtype = module == "torch" and isinstance(getattr(torch, name, None), torch.dtype)
        if is_dtype or name in _NAMES.get(module, ()):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"its metadata name {module}.{name}, which no checkpoint of a model needs")
