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
from tasks.base.hashing import text_hash_words
from tasks.dataset.manifest import ManifestPart, part_path
from tasks.dataset.parts import read_part
from tasks.dataset.schemas import PARTITIONED
from tasks.dataset.stage import DatasetContext, Output, PartContext, PartInput, Stage, Upstream
from tasks.dedup.earlier_signatures import signed_crawls
from tasks.dedup.edges import DuplicatesConfig, partition_of, place_of
from tasks.dedup.minhash import NO_KEY

ROWS_PER_PART = 500_000
"""Documents whose signatures are held in memory at a time, at some 400 bytes each, unless one part has more."""


def run(context: PartContext) -> Iterator[Output]:
    """Yield the documents of each partition in turn, in the order of their places."""
    count = context.config(DuplicatesConfig).partitions
    documents = pa.concat_tables(_signatures(context))
    if not documents.num_rows:
        return
    band_partition = _band_partitions(documents["bands"], count)
    text_partition = partition_of(text_hash_words(documents["text_hash"])[:, 0], count)
    for partition in range(count):
        here = _in_partition(documents, band_partition == partition, text_partition == partition)
        if here.num_rows:
            number = pa.array(np.full(here.num_rows, partition, dtype=np.int32))
            yield Output(pa.table({"partition": number, **{name: here[name] for name in PARTITIONED.names[1:]}}))


def _signatures(context: PartContext) -> Iterator[pa.Table]:
    """Yield the signatures of the parts that this one is made from, with their places."""
    fingerprint, *numbers = context.job.read_from.split("/")
    first, count, first_of_all = map(int, numbers)
    for index in range(first, first + count):
        row = 0
        for table in read_part(context.store, part_path("signatures", fingerprint, index)):
            places = place_of(first_of_all + index - first, np.arange(row, row + table.num_rows))
            yield table.append_column("place", pa.array(places)).combine_chunks()
            row += table.num_rows


def _band_partitions(bands: pa.ChunkedArray, count: int) -> np.ndarray:
    """Return the partition of each band key of all documents one after another; -1 where there is no signature."""
    keys = bands.combine_chunks().flatten().to_numpy()
    return np.where(keys == NO_KEY, -1, partition_of(keys, count))


def _in_partition(documents: pa.Table, bands_here: np.ndarray, texts_here: np.ndarray) -> pa.Table:
    """Return the documents of which some band or the text is here, with the bands that are."""
    bands = documents["bands"].combine_chunks()
    lengths = pc.fill_null(pc.list_value_length(bands), 0).to_numpy()
    owners = np.repeat(np.arange(len(lengths)), lengths)[bands_here]
    counts = np.bincount(owners, minlength=len(lengths))
    chosen = np.flatnonzero((counts > 0) | texts_here)
    offsets = np.concatenate([[0], np.cumsum(counts[chosen])]).astype(np.int32)
    keys = bands.flatten().filter(pa.array(bands_here))
    table = documents.take(pa.array(chosen))
    column = table.schema.get_field_index("bands")
    return table.set_column(column, "bands", pa.ListArray.from_arrays(pa.array(offsets), keys))


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
