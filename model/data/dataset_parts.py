"""The parts of a finished dataset: which files they are, whether they are intact, and their rows.

Notable:
- The manifest, `<folder>.manifest.json` beside the folder, lists the parts and the digest of each. A digest covers a
  part's row groups, that is every byte before the Parquet footer, so it reveals a flipped bit that Parquet, which has
  no checksums here, might miss. Older stores, and copies in the cache, have it in the folder, as `manifest.json`.
- A dataset may be in an object store: any URL that fsspec can open. Its parts are then copied to the cache folder,
  checked, and read from there; processes that share the folder share the copy.
"""

import random
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from model.base.config_loading import json_value, read_small
from model.base.errors import BadInput
from model.base.folder_lock import turn_in
from model.base.full_disk import is_full_disk, writing

_BESIDE, _INSIDE = ".manifest.json", "manifest.json"
"""What the manifest's name adds to the folder's, and its name in the folder."""
_MAGIC = b"PAR1"
_BLOCK = 1 << 22
_TRIES = 4
_FETCHING = ".fetching-"
_PART_NAME = re.compile(r"part-[0-9]{5,}\.parquet")
_RUN_AGAIN = "run the stage that makes it again"


@dataclass(frozen=True)
class Part:
    """One part of a dataset on a local disk."""

    path: Path
    digest: str | None
    """xxh3-128 of its row groups as listed in the manifest; None without a manifest."""

    @property
    def identity(self) -> tuple[object, ...]:
        """A key that changes with the content: the digest, or else size and time."""
        if self.digest:
            return (self.path.name, self.digest)
        status = self.path.stat()
        return (self.path.name, status.st_size, status.st_mtime_ns)


def local_dataset(place: str | Path, cache: Path) -> Path:
    """Return a dataset's folder on a local disk: `place` itself, or for a URL a copy under `cache`.

    The copy is named by the manifest's content and made once; each part is checked against its digest before it appears
    there. Connection errors are retried.

    Raises:
        BadInput: the URL cannot be read, the dataset is not finished, or a part is not what its manifest says.
    """
    if "://" not in str(place):
        return Path(place)
    url = str(place).rstrip("/")
    try:
        files, root = fsspec.core.url_to_fs(url)
        manifest = _retried(lambda: _read_manifest(files, root))
    except FileNotFoundError as error:
        raise BadInput(f"{url} has no manifest, so it is not a finished dataset; {_RUN_AGAIN}") from error
    except (OSError, ValueError, ImportError) as error:
        raise BadInput(f"{url} cannot be read: {error}; check the address and the access to it") from error
    folder = cache / f"dataset-{xxhash.xxh3_64_hexdigest(manifest)}"
    with turn_in(folder) as alone:
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
        if alone:  # what kills left
            for abandoned in folder.glob(f"{_FETCHING}*"):
                shutil.rmtree(abandoned, ignore_errors=True)
        for name, digest in _listed(manifest, url + _BESIDE):
            if not (folder / name).is_file():
                _fetch(files, f"{root}/{name}", folder / name, digest, f"{url}/{name}")
        # The manifest comes last: it makes the copy a finished dataset.
        if not (folder / _INSIDE).is_file():
            with _aside(folder / _INSIDE) as copy:
                copy.write_bytes(manifest)
    return folder


def manifest_beside(dataset: Path) -> Path:
    """Return where the manifest of a dataset's folder stands."""
    return dataset.with_name(dataset.name + _BESIDE)


def _read_manifest(files: Any, root: str) -> bytes:
    try:
        return bytes(files.cat_file(root + _BESIDE))
    except FileNotFoundError:
        return bytes(files.cat_file(f"{root}/{_INSIDE}"))


def dataset_parts(dataset: Path) -> list[Part]:
    """Return the parts of a dataset in order, after checking that they are numbered from 0 without a gap.

    If there is a manifest, its list counts, since files of a longer listing may be left over; otherwise all files that
    are there.

    Raises:
        BadInput: no parts, one that is missing, or a manifest that cannot be read.
    """
    found = sorted(dataset.glob("part-*.parquet"))
    manifest = next(filter(Path.is_file, (manifest_beside(dataset), dataset / _INSIDE)), manifest_beside(dataset))
    try:
        parts = [Part(dataset / name, digest) for name, digest in _listed(read_small(manifest), str(manifest))]
    except FileNotFoundError:
        parts = [Part(path, None) for path in found]
    except OSError as error:
        raise BadInput(f"{manifest} cannot be read: {error}; {_RUN_AGAIN}") from error
    if not parts:
        raise BadInput(f"{dataset} holds no part-00000.parquet; is it the folder of a finished dataset?")
    for number, part in enumerate(parts):
        if part.path.name != f"part-{number:05d}.parquet":
            raise BadInput(f"{dataset}: part-{number:05d}.parquet is missing; {_RUN_AGAIN}")
        if part.path not in found:
            raise BadInput(f"{part.path} is missing, but {manifest.name} lists it; {_RUN_AGAIN}")
    return parts


def check_part(part: Part, origin: str | None = None) -> None:
    """Raise BadInput if a part, which may have come from an `origin`, has another digest than the manifest lists."""
    if part.digest is None:
        return
    where = origin or str(part.path)
    try:
        found = content_digest(part.path)
    except (OSError, ValueError) as error:
        raise BadInput(f"{where} cannot be read ({error}); delete it and {_RUN_AGAIN}") from error
    if found != part.digest:
        raise BadInput(
            f"{where} is damaged: its rows have the digest {found}, the manifest says {part.digest}; delete it and "
            f"{_RUN_AGAIN}"
        )


def content_digest(path: Path) -> str:
    """Return the xxh3-128 of all bytes before a Parquet file's footer; raises ValueError if it has none."""
    digest = xxhash.xxh3_128()
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - 8))
        tail = file.read(8)
        left = size - 8 - int.from_bytes(tail[:4], "little")
        if tail[4:] != _MAGIC or left < len(_MAGIC):
            raise ValueError("it does not end as a Parquet file does")
        file.seek(0)
        while left > 0 and (block := file.read(min(_BLOCK, left))):
            digest.update(block)
            left -= len(block)
    return digest.hexdigest()


def read_row_groups(part: Path, columns: tuple[str, ...]) -> Iterator[pa.Table]:
    """Yield the row groups of a part; raises BadInput if the file is damaged or lacks a column."""
    try:
        with pq.ParquetFile(part) as file:
            names = file.schema_arrow.names
            if missing := [column for column in columns if column not in names]:
                raise BadInput(f"{part} has no column {', '.join(missing)}; it has {', '.join(names)}")
            for group in range(file.num_row_groups):
                yield file.read_row_group(group, columns=list(columns))
    except (pa.ArrowException, OSError) as error:
        raise BadInput(f"{part} cannot be read ({error}); delete it and {_RUN_AGAIN}") from error


def _listed(manifest: bytes, where: str) -> list[tuple[str, str | None]]:
    """Return the names and digests of the parts in a manifest."""
    try:
        parts = [(str(part["path"]), part.get("digest")) for part in json_value(manifest)["parts"]]
        if strange := [name for name, _ in parts if not _PART_NAME.fullmatch(name)]:
            raise ValueError(f"{strange[0]!r} is not a part's name")
        return parts
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise BadInput(f"{where} is damaged ({error!r}); delete it and {_RUN_AGAIN}") from error


def _fetch(files: Any, source: str, target: Path, digest: str | None, url: str) -> None:
    """Copy one part aside, check it, and give it its name."""
    with _aside(target) as copy:
        try:
            _retried(lambda: files.get_file(source, str(copy)))
        except FileNotFoundError as error:
            raise BadInput(f"{url} is missing, but its manifest lists it; {_RUN_AGAIN}") from error
        check_part(Part(copy, digest), url)


@contextmanager
def _aside(target: Path) -> Iterator[Path]:
    """Give a file aside to write, which becomes `target` unless the block fails."""
    with tempfile.TemporaryDirectory(prefix=_FETCHING, dir=target.parent) as folder, writing(target):
        copy = Path(folder) / target.name
        yield copy
        copy.replace(target)


def _retried(read: Callable[[], Any]) -> Any:
    """Return what `read` returns, trying again with growing pauses after connection errors."""
    for attempt in range(_TRIES - 1):
        try:
            return read()
        except OSError as error:
            if isinstance(error, FileNotFoundError | PermissionError) or is_full_disk(error):
                raise
            time.sleep(2.0**attempt * random.uniform(0.5, 1.5))
    return read()
