"""What a recipe's source is, resolved when a run is planned, and its files; for crawls and all other kinds alike."""

from tasks.base.errors import UsageError
from tasks.fetch.crawl_listing import SourceConfig, chosen_places, list_warcs, resolve_crawl, warc_name
from tasks.fetch.source_files import SourceKind, file_digest, file_name, list_files, root_of, source_name, told_kind
from tasks.sources.byte_source import byte_source

_OF_WARCS_ONLY = ("select",)
_OF_ARCHIVES_ONLY = ("bytes_per_warc",)


def resolve_source(source: SourceConfig) -> SourceConfig:
    """Return the source with its kind, its crawl's name, and the folder or address that its files are below.

    Raises UsageError for a source whose kind cannot be told, or that a field does not fit.
    """
    kind = kind_of(source)
    if kind == "crawl":
        warcs = source.warcs or ("all" if source.select and source.select.urls else 1)
        return source.model_copy(update={"kind": kind, "crawl": resolve_crawl(source), "warcs": warcs})
    fields = {"warcs": (), "wet": _OF_WARCS_ONLY, "documents": _OF_WARCS_ONLY + _OF_ARCHIVES_ONLY}[kind]
    for field in fields:
        if getattr(source, field) is not None:
            advice = ": limit it by source.limit" if field in _OF_ARCHIVES_ONLY else ""
            raise UsageError(f"source.{field} is for a crawl; source.base is of the kind {kind!r}{advice}.")
    crawl = source_name(source.base) if source.crawl == "latest" else source.crawl
    return source.model_copy(update={"kind": kind, "crawl": crawl, "warcs": source.warcs or "all"})


def kind_of(source: SourceConfig) -> SourceKind:
    """Return what a source is. Raises UsageError where that cannot be told."""
    return source.kind or ("documents" if source.reader else told_kind(source.base))


def source_files(source: SourceConfig) -> list[str]:
    """Return the paths of a resolved source's files, below its root, of those that the recipe asks for."""
    if source.kind in (None, "crawl"):
        return list_warcs(source)
    files = list_files(source.base, source.kind, is_any_file=source.reader is not None, transfer=source.transfer)
    return [files[place] for place in chosen_places(source, files, source.base)]


def source_root(source: SourceConfig) -> str:
    """Return the address below which the files of a source are."""
    return source.base if source.kind in (None, "crawl") else root_of(source.base)


def id_prefix(source: SourceConfig, path: str) -> str:
    """Return what the ids of a file's documents begin with."""
    return warc_name(path) if source.kind in (None, "crawl") else file_name(path, source.kind)


def content_digest_of(source: SourceConfig, path: str) -> str:
    """Return what tells that a file's content has changed, for files of the user's own on this machine; else ""."""
    if source.kind in (None, "crawl"):
        return ""
    local = byte_source(source_root(source), source.transfer).local(path)
    return file_digest(local) if local else ""


def document_share(limit: int, files: int, place: int) -> int:
    """Return how many documents of the file at `place` are read where all give `limit`: of each equally many."""
    return limit // files + (place < limit % files)
