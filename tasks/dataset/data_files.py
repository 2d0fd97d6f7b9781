"""Files that a recipe names: word lists, domain lists, lexicons, training sets.

Notable: what counts is a file's content, never its place. When a run opens, each file is copied to the store under the
digest of its bytes and the recipe's value becomes that address, so a fingerprint follows the content and a worker on
any machine reads the same bytes that the run began with. A recipe may be somebody else's: only files on this machine
and a few kinds of URL are read, and only this user can read the copies.
"""

import re
from dataclasses import dataclass
from importlib import resources
from pathlib import Path, PurePosixPath
from typing import Annotated

import fsspec
import xxhash

from tasks.addresses.https_files import read_https
from tasks.base.errors import UsageError
from tasks.dataset.marked_fields import M, with_marked_replaced
from tasks.dataset.store import Store

_BUILTIN = "builtin:"
_PINNED = re.compile(r"files/[0-9a-f]{32}(\.[A-Za-z0-9]+){0,2}")
_PROTOCOLS = ("https", "s3", "gs")
_MAX_BYTES = 4 << 30


@dataclass(frozen=True)
class NamesFile:
    """Marks a field whose value names a file."""


DataFile = Annotated[str, NamesFile()]
"""A file's path, a URL of https, s3 or gs, or `builtin:NAME` for one that comes with Sluice."""


def is_local(value: str) -> bool:
    """Return whether a value of the recipe is a path on this machine."""
    return not (value.startswith(_BUILTIN) or is_pinned(value) or "://" in value or "::" in value)


def is_pinned(value: str) -> bool:
    """Return whether a file is named by its address in the store."""
    return bool(_PINNED.fullmatch(value))


def read_data_file(store: Store, value: str) -> bytes:
    """Return the bytes of a file as the recipe names it, or of an address in the store; `UsageError` without one."""
    return store.read_bytes(value) if is_pinned(value) else _read(value, value)


def pin_data_files(model: M, store: Store) -> M:
    """Return `model` with each file copied to the store and named by its address; `UsageError` names a wrong field."""
    return with_marked_replaced(model, NamesFile, lambda field, value: _pin(store, field, value))


def _pin(store: Store, field: str, value: str) -> str:
    if is_pinned(value):
        return value
    suffixes = "".join(re.findall(r"\.[A-Za-z0-9]+", PurePosixPath(value.removeprefix(_BUILTIN)).name)[-2:])
    return pin_content(store, _read(value, field), suffixes)


def pin_content(store: Store, content: bytes, suffixes: str) -> str:
    """Write content to the store under its digest, unless it is there, and return its address."""
    address = f"files/{xxhash.xxh3_128_hexdigest(content)}{suffixes}"
    if not store.exists(address):
        with store.writing(address) as temporary:
            temporary.touch(mode=0o600)
            temporary.write_bytes(content)
    return address


def _read(value: str, field: str) -> bytes:
    if value.startswith(_BUILTIN):
        return _read_builtin(value.removeprefix(_BUILTIN), field)
    path = value.removeprefix("file://")
    if (not is_local(path) and path.partition("://")[0] not in _PROTOCOLS) or "::" in path:
        raise UsageError(
            f"{field}: the file {value} cannot be read: give a path, or a URL of {', '.join(_PROTOCOLS)}, without `::`."
        )
    if is_local(path) and Path(path).exists() and not Path(path).is_file():
        raise UsageError(f"{field}: {value} is not a file.")
    try:
        if path.startswith("https://"):
            content = read_https(path, _MAX_BYTES + 1)
        else:
            with Path(path).open("rb") if is_local(path) else fsspec.open(path, "rb") as file:
                content = file.read(_MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise UsageError(f"{field}: there is no file {value}.") from error
    except (OSError, ValueError, ImportError) as error:
        raise UsageError(f"{field}: the file {value} cannot be read: {error}.") from error
    if len(content) > _MAX_BYTES:
        raise UsageError(f"{field}: the file {value} has more than {_MAX_BYTES:,} bytes.")
    return content


def _read_builtin(name: str, field: str) -> bytes:
    folder = resources.files("tasks") / "lists"
    names = sorted(item.name for item in folder.iterdir() if item.is_file() and not item.name.endswith(".py"))
    if name not in names:
        raise UsageError(f"{field}: no file called {name!r} comes with Sluice; there are: {', '.join(names)}.")
    return (folder / name).read_bytes()
