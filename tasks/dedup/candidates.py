"""candidates: pairs of duplicates, one part for each partition of the join over band keys."""

from collections.abc import Iterator

import pyarrow as pa

from tasks.dataset.manifest import part_path
from tasks.dataset.parts import read_part_where
from tasks.dataset.schemas import CANDIDATES
from tasks.dataset.stage import DatasetContext, Output, PartContext, PartInput, Stage, Upstream
from tasks.dedup.edges import DuplicatesConfig, partition_edges


def run(context: PartContext) -> Iterator[Output]:
    """Yield the pairs that this part's partition of the keys finds."""
    count = len(context.manifest("partitions").parts)
    paths = [part_path("partitions", context.job.upstream["partitions"], index) for index in range(count)]
    partition = context.job.index

    def read(columns: list[str]) -> Iterator[pa.Table]:
        for path in paths:
            yield from read_part_where(context.store, path, "partition", partition, partition, columns)

    edges = partition_edges(read, partition, context.config(DuplicatesConfig))
    yield Output(
        pa.table({"left": edges[:, 0], "right": edges[:, 1]}, schema=CANDIDATES), counters={"pairs": len(edges)}
    )


def _parts(context: DatasetContext) -> list[PartInput]:
    """Return a part for each partition, which finds other pairs where their number changes."""
    count = DuplicatesConfig.model_validate(context.config).partitions
    return [PartInput(digest=f"{index} of {count}") for index in range(count)]


STAGE = Stage(
    name="candidates",
    version=2,
    upstream=(Upstream("partitions", all_parts=True),),
    config_of=lambda recipe: recipe.duplicates.model_dump(mode="json", exclude={"earlier"}),
    pace=("partitions",),
    memory="the band keys of one partition of all documents: more of duplicates.partitions make it smaller",
    rows=CANDIDATES,
    run=run,
    parts=_parts,
)
