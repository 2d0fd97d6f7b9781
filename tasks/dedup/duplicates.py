"""duplicates: what the clusters say of one part's documents.

Notable: a stage of its own, so that a part of the corpus is made again only where the decision on one of its own
documents changed, however much of the crawl did.
"""

from collections import Counter
from collections.abc import Iterator

import pyarrow as pa

from tasks.dataset.manifest import part_path
from tasks.dataset.parts import read_part_where
from tasks.dataset.schemas import DUPLICATES
from tasks.dataset.stage import DatasetContext, Output, PartContext, PartInput, Stage, Upstream
from tasks.dedup.earlier_signatures import signed_crawls
from tasks.dedup.edges import place_of


def run(context: PartContext) -> Iterator[Output]:
    """Yield one row for each document of the part that has a duplicate, in the documents' order."""
    part = int(context.job.read_from)
    first, last = int(place_of(part)), int(place_of(part + 1)) - 1
    path = part_path("clusters", context.job.upstream["clusters"], 0)
    found = pa.concat_tables(read_part_where(context.store, path, "place", first, last, DUPLICATES.names))
    reasons = Counter(reason for reason in found["reason"].to_pylist() if reason)
    kept = found.num_rows - reasons.total()
    yield Output(found, counters={"clusters": kept, **{f"removed.{reason}": n for reason, n in reasons.items()}})


def _parts(context: DatasetContext) -> list[PartInput]:
    """Return a part for each of the run's own signatures; the parts of earlier crawls are counted before them."""
    own = signed_crawls(context.store, context.config["earlier"], context.upstream["signatures"])[-1]
    numbers = range(own.first_part, own.first_part + len(own.manifest.parts))
    return [PartInput(digest=str(number), read_from=str(number)) for number in numbers]


STAGE = Stage(
    name="duplicates",
    version=2,
    upstream=(Upstream("signatures"), Upstream("clusters", all_parts=True)),
    config_of=lambda recipe: {"earlier": list(recipe.duplicates.earlier)},
    choosing=("earlier",),
    rows=DUPLICATES,
    run=run,
    parts=_parts,
)
