"""partitions: the signatures of some parts, regrouped by partition of the join, so that each reads its own rows only.

Notable: a part takes as many signature parts as come to `ROWS_PER_PART` documents. Without that each partition would
open every signature part: a cost that grows with the square of the crawl. A document is written once for each partition
that one of its bands or its text hash belongs to, with those bands alone.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks.base.fingerprint import digest
from tasks.base.hashing import UInt64s, text_hash_words
from tasks.dataset.manifest import ManifestPart, part_path
from tasks.dataset.parts import read_part
from tasks.dataset.schemas import PARTITIONED
from tasks.dataset.stage import DatasetContext, Output, PartContext, PartInput, Stage, Upstream
from tasks.dedup.earlier_signatures import signed_crawls
from tasks.dedup.edges import DuplicatesConfig, Int64s, partition_of, place_of
from tasks.dedup.minhash import NO_KEY

ROWS_PER_PART = 500_000
"""Documents whose signatures are held in memory at a time, at some 400 bytes each, unless one part has more."""


def run(context: PartContext) -> Iterator[Output]:
    """Yield the documents of each partition in turn, in the order of their places."""
    count = context.config(DuplicatesConfig).partitions
    signatures = list(_signatures(context))
    if not signatures:
        return
    documents = pa.concat_tables(signatures)
    bands = documents["bands"].combine_chunks()
    documents = documents.drop_columns("bands")
    owners = np.repeat(np.arange(len(bands)), pc.fill_null(pc.list_value_length(bands), 0))
    keys = bands.flatten().to_numpy()
    owners, keys = owners[keys != NO_KEY], keys[keys != NO_KEY]
    by_band = _by_partition(keys, count)
    by_text = _by_partition(text_hash_words(documents["text_hash"])[:, 0], count)
    for partition, (bands_here, texts_here) in enumerate(zip(by_band, by_text, strict=True)):
        here = _rows(documents, owners[bands_here], keys[bands_here], texts_here)
        if here.num_rows:
            number = pa.array(np.full(here.num_rows, partition, dtype=np.int32))
            yield Output(here.append_column("partition", number).select(PARTITIONED.names))


def _signatures(context: PartContext) -> Iterator[pa.Table]:
    """Yield the signatures of the parts that this one is made from, with their places in the ids' stead."""
    fingerprint, *numbers = context.job.read_from.split("/")
    first, count, first_of_all = map(int, numbers)
    for index in range(first, first + count):
        row = 0
        path = part_path("signatures", fingerprint, index)
        for table in read_part(context.store, path, ["text_hash", "n_chars", "bands", "sketch"]):
            places = place_of(first_of_all + index - first, np.arange(row, row + table.num_rows))
            yield table.append_column("place", pa.array(places)).combine_chunks()
            row += table.num_rows


def _by_partition(keys: UInt64s, count: int) -> list[Int64s]:
    """Return which of the keys are in each partition, ascending."""
    partitions = partition_of(keys, count)
    order = np.argsort(partitions, kind="stable")
    return np.split(order, np.searchsorted(partitions[order], np.arange(1, count)))


def _rows(documents: pa.Table, owners: Int64s, keys: UInt64s, texts: Int64s) -> pa.Table:
    """Return the documents of which some band or the text is in a partition, with the bands that are.

    `owners` (ascending) are the documents of the band keys, `texts` those of the texts.
    """
    chosen = np.union1d(owners, texts)
    offsets = np.append(np.searchsorted(owners, chosen), len(owners)).astype(np.int32)
    bands = pa.ListArray.from_arrays(pa.array(offsets), pa.array(keys))
    return documents.take(pa.array(chosen)).append_column("bands", bands)


def _parts(context: DatasetContext) -> list[PartInput]:
    """Return a part for each run of signature parts of one crawl with about `ROWS_PER_PART` documents."""
    config = DuplicatesConfig.model_validate(context.config)
    inputs = []
    for signed in signed_crawls(context.store, config.earlier, context.upstream["signatures"]):
        for first, parts in _runs(signed.manifest.parts):
            first_of_all = signed.first_part + first
            content = digest([first_of_all, config.partitions, *(part.digest for part in parts)])
            place = f"{signed.fingerprint}/{first}/{len(parts)}/{first_of_all}"
            inputs.append(PartInput(digest=content, read_from=place))
    return inputs


def _runs(parts: Sequence[ManifestPart]) -> Iterator[tuple[int, Sequence[ManifestPart]]]:
    """Yield (index of the first, parts) of neighbours with `ROWS_PER_PART` documents or more, the last with fewer."""
    first = rows = 0
    for index, part in enumerate(parts):
        rows += part.rows
        if rows >= ROWS_PER_PART or index == len(parts) - 1:
            yield first, parts[first : index + 1]
            first, rows = index + 1, 0


STAGE = Stage(
    name="partitions",
    version=1,
    upstream=(Upstream("signatures", all_parts=True, in_part_inputs=True),),
    config_of=lambda recipe: recipe.duplicates.model_dump(mode="json", include={"partitions", "earlier"}),
    pace=("partitions",),
    choosing=("earlier",),
    memory=f"the signatures of {ROWS_PER_PART:,} documents",
    rows=PARTITIONED,
    run=run,
    parts=_parts,
)
