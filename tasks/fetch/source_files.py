"""A source in no crawl's layout: a file, a folder or a glob of WARC, WET, JSON lines or Parquet files.

Notable:
- What a source is, is told by the names of its files; where they say nothing or two things, the error says what was
  found and what would work.
- A folder may be somebody else's: hidden files, sockets and pipes are passed over, folders that are links are not
  entered, and a link to a file elsewhere is refused (the cache of Hugging Face, whose snapshots are links, is not).
- A file's name in ids is its base name; that of documents is its path below the folder, as exports repeat base names.
"""

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Final, Literal

import fsspec
import xxhash

from tasks.base.errors import PermanentError, UsageError
from tasks.documents.reading import JSON_ENDINGS, PARQUET_ENDINGS, WET_ENDINGS
from tasks.fetch.cdx_sidecar import SIDECAR_ENDINGS
from tasks.sources.transfer import TransferConfig
from tasks.sources.web_folder import LISTING_ENDINGS, listed_on_web

SourceKind = Literal["crawl", "warcs", "wet", "documents"]

ENDINGS: Final[dict[SourceKind, tuple[str, ...]]] = {
    "warcs": (".warc", ".warc.gz", ".warc.zst"),
    "wet": WET_ENDINGS,
    "documents": JSON_ENDINGS + PARQUET_ENDINGS,
}
_UNSURE = (".json",)  # of a folder's files these may be anything, and count only where they are named
_SIDECARS = (*SIDECAR_ENDINGS, ".idx", ".warc.gz.md5", ".sha256")
_GLOB = re.compile(r"[*?\[]")
_MOST_FILES = 1_000_000
_WHAT_WORKS = (
    "a crawl in Common Crawl's layout (with crawl-data/), WARC files (.warc, .warc.gz, .warc.zst), WET files (.wet.gz),"
    " JSON lines (.jsonl, .json.gz, .jsonl.zst) or Parquet files; source.kind says which of several"
)
_SAMPLED_BYTES = 1 << 20
_WHOLE_BYTES = 64 << 20


def told_kind(base: str) -> SourceKind:
    """Return what a source is. Raises UsageError where that cannot be told."""
    if "://" in base and not base.startswith("file://"):
        return _kind_of_name(base) or "crawl"
    path = Path(base.removeprefix("file://"))
    if (path / "crawl-data").is_dir() or not (_GLOB.search(base) or path.exists()):
        return "crawl"  # what is not there is told when it is read
    names, named = _matching(str(path)), path.is_file() or bool(_GLOB.search(base))
    counts = Counter(kind for name in names if (kind := _kind_of_name(name, named)))
    if len(counts) == 1:
        return next(iter(counts))
    found = ", ".join(f"{count:,} {kind}" for kind, count in counts.most_common()) if counts else _endings(names)
    if path.parent.name == "crawl-data":
        raise UsageError(
            f"source.base: {path} is the folder of one crawl: set source.base to {path.parent.parent} and"
            f" source.crawl to {path.name}."
        )
    raise UsageError(f"source.base: {path} has {found or 'no file'}. What works: {_WHAT_WORKS}.")


def is_glob(base: str) -> bool:
    """Return whether a source is given as a pattern of names."""
    return bool(_GLOB.search(base))


def root_of(base: str) -> str:
    """Return the folder or address that a file, a folder or a glob is below."""
    if "://" in base and not base.startswith("file://"):
        if glob := _GLOB.search(base):
            return base[: glob.start()].rpartition("/")[0]
        is_file = _kind_of_name(base) or base.endswith(LISTING_ENDINGS)
        return base.rpartition("/")[0] if is_file else base.rstrip("/")
    path = Path(base.removeprefix("file://"))
    if not _GLOB.search(base):
        return str(path if path.is_dir() else path.parent)
    fixed = path.parts[: next(place for place, part in enumerate(path.parts) if _GLOB.search(part))]
    return str(Path(*fixed))


def list_files(
    base: str, kind: SourceKind, is_any_file: bool = False, transfer: TransferConfig | None = None
) -> list[str]:
    """Return a source's files of one kind, or all that are no notes on others, below its root, sorted.

    Raises UsageError where there are none, or two have the same name in ids.
    """
    if base.startswith(("http://", "https://")):
        found = [base.rpartition("/")[2]] if _kind_of_name(base) else listed_on_web(base, transfer or TransferConfig())
    else:
        found = _remote(base) if "://" in base and not base.startswith("file://") else _matching(base)
    named = found == [PurePosixPath(base).name] or bool(_GLOB.search(base))
    if is_any_file:
        files = sorted(name for name in found if not name.endswith(_SIDECARS))
    else:
        files = sorted(name for name in found if _kind_of_name(name, named) == kind)
    if not files:
        raise UsageError(f"source.base: {base} has no file that ends with {', '.join(ENDINGS[kind])}.")
    names: dict[str, str] = {}
    for file in files:
        if not file.isprintable():
            raise UsageError(f"source.base: {base} has a file called {file!r}: rename it, ids are made of it.")
        other = names.setdefault(file_name(file, kind), file)
        if other != file:
            raise UsageError(
                f"source.base: {other} and {file} would give their documents the same ids"
                f" ({file_name(file, kind)}:...): rename one of them."
            )
    return files


def file_name(path: str, kind: SourceKind) -> str:
    """Return what the ids of a file's documents begin with."""
    name = PurePosixPath(path).name if kind in ("warcs", "wet") else path
    for ending in sorted((ending for endings in ENDINGS.values() for ending in endings), key=len, reverse=True):
        if name.endswith(ending) and kind != "wet":
            return name.removesuffix(ending)
    return name.removesuffix(".gz").removesuffix(".zst")


def file_digest(path: Path) -> str:
    """Return a digest by which a file's change shows: of all of a small one, of samples and length of a large one."""
    size = path.stat().st_size
    made_of = xxhash.xxh3_128(str(size))
    steps = [0] if size <= _WHOLE_BYTES else [size * step // 16 for step in range(16)] + [size - _SAMPLED_BYTES]
    with path.open("rb") as file:
        for start in steps:
            file.seek(start)
            made_of.update(file.read(_WHOLE_BYTES if size <= _WHOLE_BYTES else _SAMPLED_BYTES))
    return made_of.hexdigest()


def source_name(base: str) -> str:
    """Return what stands for a crawl's name where there is none: that of the folder or file, in plain letters."""
    path = base.partition("://")[2] or base
    parts = [part for part in PurePosixPath(path).parts if not _GLOB.search(part) and part != "/"]
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", parts[-1] if parts else "files").strip("-.")
    return file_name(name, "documents")[:100] or "files"


def _kind_of_name(name: str, named: bool = True) -> SourceKind | None:
    if name.endswith(_SIDECARS) or (name.endswith(_UNSURE) and not named):
        return None
    return next((kind for kind, endings in ENDINGS.items() if name.endswith(endings)), None)


def _matching(base: str) -> list[str]:
    """Return the files of this machine that a path or a glob means, below its root."""
    base = base.removeprefix("file://")
    root = Path(root_of(base))
    pattern = Path(base).relative_to(root).as_posix() if _GLOB.search(base) else None
    if pattern is None and Path(base).is_file():
        return [Path(base).name]
    found = []
    for name, path in _walk(root):
        if pattern is None or _matches(name, pattern):
            _refuse_foreign_link(path, root)
            found.append(name)
        if len(found) > _MOST_FILES:
            raise UsageError(f"source.base: {base} has more than {_MOST_FILES:,} files; name a smaller folder.")
    return found


def _matches(name: str, pattern: str) -> bool:
    """Return whether a path matches a glob in which ** stands for any folders, and * for no slash."""
    if "**" in pattern:
        return fnmatchcase(name, pattern.replace("**/", "*")) or fnmatchcase(name, pattern.replace("**/", ""))
    parts, wanted = name.split("/"), pattern.split("/")
    return len(parts) == len(wanted) and all(map(fnmatchcase, parts, wanted))


def _walk(root: Path) -> Iterator[tuple[str, Path]]:
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(folder) / name
            if not name.startswith((".", "_")) and path.is_file():
                yield path.relative_to(root).as_posix(), path


def _refuse_foreign_link(path: Path, root: Path) -> None:
    if not path.is_symlink():
        return
    target, inside = path.resolve(), root.resolve()
    cache = next((parent.parent for parent in inside.parents if parent.name == "snapshots"), None)
    if not (target.is_relative_to(inside) or (cache and target.is_relative_to(cache / "blobs"))):
        raise UsageError(
            f"source.base: {path} is a link to {target}, outside of the source: copy the file there, or name it itself."
        )


def _remote(base: str) -> list[str]:
    """Return the files of an object store below the root, by one listing."""
    try:
        fs, path = fsspec.core.url_to_fs(base)
        root = fsspec.core.url_to_fs(root_of(base))[1].rstrip("/")
        found: Iterable[str] = fs.glob(path) if _GLOB.search(path) else fs.find(path)
        return [str(name).removeprefix(root).lstrip("/") for name in found]
    except (OSError, ValueError, ImportError) as error:
        raise PermanentError(f"source.base: {base} cannot be listed: {error}") from error


def _endings(names: list[str]) -> str:
    """Return what the names of files end with, the most frequent first, in words."""
    counts = Counter("".join(PurePosixPath(name).suffixes[-2:]) or "without an ending" for name in names)
    return ", ".join(f"{count:,} {ending}" for ending, count in counts.most_common(8))
