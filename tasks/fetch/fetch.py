"""fetch: one file of the source brought to the store, whole and verified, and one row that says what came.

Notable:
- The row holds nothing of where the file came from or lies, so a folder, a mirror and the original give the same part.
- Each WARC in the plan has a decision. One that cannot be fetched has no row; `source.max_failed_share` says whether a
  run may go on without it, and a later run asks for it again.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Protocol

import pyarrow as pa

from tasks.base.errors import PermanentError
from tasks.base.fingerprint import digest
from tasks.dataset.schemas import WARCS, decisions_schema
from tasks.dataset.stage import DatasetContext, Output, PartContext, PartInput, PartJob, Scratch, Stage, Upstream
from tasks.documents.columns import Fields
from tasks.documents.reading import check_documents
from tasks.fetch.crawl_listing import SourceConfig, SourceRecipe
from tasks.fetch.range_fetching import fetch_records
from tasks.fetch.source_listing import content_digest_of, document_share, id_prefix, source_files, source_root
from tasks.fetch.wanted_dataset import fetch_cost, wanted_digests, wanted_records
from tasks.fetch.warc_files import drop_warc, is_at_hand, job_source, stored_path
from tasks.sources.downloading import DamagedWarc, fetch_plain, fetch_warc
from tasks.sources.transfer import NotFound
from tasks.synthetic_web.texts.config import VERSION as SYNTHETIC_WEB_VERSION
from tasks.synthetic_web.texts.config import SyntheticWebConfig
from tasks.warc.content import NotAWarc

_log = logging.getLogger(__name__)


class BadDocuments(PermanentError):
    """A file of documents is not what its name says."""


FAILURES: dict[type[PermanentError], str] = {
    NotFound: "missing",
    DamagedWarc: "damaged",
    NotAWarc: "not_a_warc",
    BadDocuments: "bad_documents",
}
"""The permanent faults of one file, and the reason that its decision gives."""
SIGNALS = [
    pa.field("path", pa.string()),  # below the source's base, as warc.paths lists it
    pa.field("bytes", pa.int64()),
    pa.field("records", pa.int64()),
    pa.field("verified", pa.int64()),  # records whose digest was there and right
    pa.field("wrong_digests", pa.int64()),  # intact records whose digest is not that of their content
    pa.field("damaged_at", pa.int64()),  # offset of the first record that is damaged at the source; null: none is
]


def run(context: PartContext) -> Iterator[Output]:
    """Fetch the file that the job names."""
    source, path = job_source(context.job)
    try:
        arrived, signals = _fetch_documents(context) if source.kind == "documents" else _fetch_warc(context)
    except tuple(FAILURES) as error:
        if not source.max_failed_share:
            raise type(error)(f"{error} To go on without such files, set source.max_failed_share.") from error
        reason = next(name for kind, name in FAILURES.items() if isinstance(error, kind))
        _log.warning("%s The file is left out (%s).", error, reason)
        counters = {"read": 1, "kept": 0, "failed": 1, f"removed.{reason}": 1}
        yield Output(decisions=_decision(source, path, [reason]), counters=counters)
        return
    row = {"name": id_prefix(source, path), "path": path, "crawl": source.crawl, **arrived}
    row |= {"clipped": source.bytes_per_warc is not None, "limit": context.job.limit}
    counters = {name: signals.get(name, 0) for name in ("bytes", "wrong_digests")}
    counters["damaged"] = int(signals.get("damaged_at") is not None)
    yield Output(
        pa.Table.from_pylist([row], columns(context)),
        _decision(source, path, [], **signals),
        {"read": 1, "kept": 1} | counters,
    )


def _fetch_warc(context: PartContext) -> tuple[dict[str, Any], dict[str, Any]]:
    """Fetch a WARC or WET file; return its bytes and digest, and the signals of its decision."""
    source, path = job_source(context.job)
    destination, root = context.store.location(stored_path(source, path)), source_root(source)
    records = wanted_records(context.store, context.job)
    if records is not None and source.select is not None:
        fetched = fetch_records(root, records, destination, source.select, source.transfer)
    else:
        fetched = fetch_warc(root, path, destination, source.transfer, source.bytes_per_warc)
    check = fetched.check
    signals: dict[str, Any] = {"bytes": fetched.bytes, "records": check.records, "verified": check.verified}
    signals |= {"wrong_digests": len(check.wrong_digests), "damaged_at": check.broken_at}
    return {"bytes": fetched.bytes, "digest": fetched.digest}, signals


def _fetch_documents(context: PartContext) -> tuple[dict[str, Any], dict[str, Any]]:
    """Fetch a file of documents and check what it is; return as `_fetch_warc` does."""
    source, path = job_source(context.job)
    stored = stored_path(source, path)
    local, size, content = fetch_plain(source_root(source), path, context.store.location(stored), source.transfer)
    try:
        with local.open("rb") if local else context.store.open(stored) as file:
            if source.reader is None:
                check_documents(path, file, Fields(source.columns))
    except PermanentError as error:
        raise BadDocuments(f"{source_root(source)}/{path}: {error}.") from error
    return {"bytes": size, "digest": content}, {"bytes": size}


def columns(context: PartContext) -> pa.Schema:
    """Return the columns of its row; how many documents are to be read stands there where the recipe limits them."""
    limit = [pa.field("limit", pa.int64())] if context.job.limit else []
    return pa.schema([*WARCS, *limit])


def _decision(source: SourceConfig, path: str, reasons: list[str], **signals: Any) -> pa.Table:
    head = {"id": id_prefix(source, path), "stage": "fetch", "kept": not reasons, "reasons": reasons}
    return pa.Table.from_pylist([head | {"path": path} | signals], DECISIONS)


DECISIONS = decisions_schema(SIGNALS)


class _Recipe(SourceRecipe, Protocol):
    synthetic_web: SyntheticWebConfig | None


def _config(recipe: _Recipe) -> dict[str, Any]:
    """Return what decides which bytes are fetched, and the synthetic web where they are made."""
    source = recipe.source.model_dump(mode="json", include={"crawl", "warcs", "bytes_per_warc"})
    if recipe.source.limit:
        source["limit"] = recipe.source.limit
    if recipe.source.kind not in (None, "crawl"):
        source["kind"] = recipe.source.kind
    if recipe.synthetic_web is None:
        return source
    made = recipe.synthetic_web.model_dump(mode="json") | {"version": SYNTHETIC_WEB_VERSION}
    return source | {"warcs": "all", "synthetic_web": made}


def _parts(context: DatasetContext) -> list[PartInput]:
    """Return a part for each file, or for each WARC of which the recipe selects some records."""
    source = SourceConfig.model_validate(context.source)
    fingerprint = context.upstream.get("wanted")
    if source.select is None or fingerprint is None:
        return _limited(source_files(source), source.limit, partial(content_digest_of, source))
    context.log(f"to fetch: {fetch_cost(context.store, fingerprint, source.select).in_words()}")
    if missing := context.manifests["wanted"].counters.get("urls_not_in_index", 0):
        context.log(f"{missing:,} addresses of source.select.urls are not in the index")
    wanted = wanted_digests(context.store, fingerprint)
    if not wanted:
        raise PermanentError(
            f"source.select: the index of {source.crawl} has no page that meets all conditions in the WARC files that"
            f" source.warcs names ({source.warcs}): ask for more of them, or for less of each page."
        )
    return _limited([path for path in source_files(source) if path in wanted], source.limit, wanted.__getitem__)


def _limited(files: Sequence[str], limit: int | None, content: Callable[[str], str]) -> list[PartInput]:
    """Return a part for each file, or for each of which something is to be read; `content` gives a file's digest."""
    if limit is None:
        return [PartInput(path, content(path)) for path in files]
    shares = {path: document_share(limit, len(files), place) for place, path in enumerate(files)}
    return [PartInput(path, digest([content(path), share]), limit=share) for path, share in shares.items() if share]


def _check_failures(failed: Sequence[PartJob], count: int) -> None:
    """Raise PermanentError once more WARC files have failed than the recipe does without."""
    share = SourceConfig.model_validate(failed[0].source).max_failed_share
    if len(failed) > share * count:
        raise PermanentError(
            f"{len(failed)} of {count} WARC files could not be had, such as {failed[0].file}: more than"
            f" source.max_failed_share ({share:g}) allows. The log says why; run again to ask for them once more, or"
            " allow more."
        )


STAGE = Stage(
    name="fetch",
    version=2,
    upstream=(
        Upstream("wanted", all_parts=True, in_part_inputs=True, when=lambda recipe: recipe.source.select is not None),
    ),
    config_of=_config,
    choosing=("warcs", "limit"),
    rows=columns,
    decisions=DECISIONS,
    run=run,
    parts=_parts,
    scratch=Scratch(is_at_hand, drop_warc),
    check_failures=_check_failures,
)
