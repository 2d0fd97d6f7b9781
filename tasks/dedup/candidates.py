"""candidates: pairs of duplicates, one part for each partition of the join over band keys.

Notable: a part reads every signature part, but only the columns it needs, and only its own share of the keys stays in
memory. Rows are places in the signatures dataset, which the fingerprint upstream pins.
"""

from collections.abc import Iterator

import pyarrow as pa

from tasks.dataset.schemas import CANDIDATES
from tasks.dataset.stage import DatasetContext, Output, PartContext, PartInput, Stage, Upstream
from tasks.dedup.clusters import DuplicatesConfig, partition_edges


def run(context: PartContext) -> Iterator[Output]:
    """Yield the pairs that this part's partition of the keys finds."""
    edges = partition_edges(context.reader("signatures"), context.job.index, context.config(DuplicatesConfig))
    rows = pa.table({"left": edges[:, 0], "right": edges[:, 1]}, schema=CANDIDATES)
    yield Output(rows, counters={"pairs": len(edges)})


def _parts(context: DatasetContext) -> list[PartInput]:
    """Return a part for each partition, which finds other pairs where their number changes."""
    count = DuplicatesConfig.model_validate(context.config).partitions
    return [PartInput(digest=f"{index} of {count}") for index in range(count)]


STAGE = Stage(
    name="candidates",
    version=1,
    upstream=(Upstream("signatures", all_parts=True),),
    config_of=lambda recipe: recipe.duplicates,
    pace=("partitions",),
    memory="the band keys of one partition of all documents: more of duplicates.partitions make it smaller",
    rows=CANDIDATES,
    run=run,
    parts=_parts,
)
