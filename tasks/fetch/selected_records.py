"""wanted: the selected records of all index files, drawn from if the recipe limits them, brought together by WARC.

Notable:
- The index is sorted by address, so every index file has records of nearly every WARC. They are brought together in
  as many passes over the selection as keep memory to `ROWS_IN_MEMORY`.
- A sample is the records with the smallest keys. The largest key still in is found by counting keys by their leading
  bits and then sorting those that share the deciding ones.
"""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa

from tasks.dataset.data_files import read_data_file
from tasks.dataset.schemas import WANTED
from tasks.dataset.stage import Output, PartContext, Stage, Upstream
from tasks.fetch.crawl_listing import SourceConfig, SourceRecipe, warc_name
from tasks.fetch.page_selection import draw_keys, read_urls, without_scheme
from tasks.fetch.range_planning import Records, checked_records
from tasks.fetch.source_listing import source_files
from tasks.fetch.wanted_dataset import WARCS_PER_GROUP

ROWS_IN_MEMORY = 8_000_000  # records held at a time, at some 50 bytes each, unless one WARC alone has more
_LEADING_BITS = 20
_REST = np.uint64(64 - _LEADING_BITS)

Rows = tuple[np.ndarray, np.ndarray, np.ndarray]  # places, offsets and lengths of some records
Draw = Callable[[Rows], Rows]


def run(context: PartContext) -> Iterator[Output]:
    """Yield a row for each WARC with selected records, in the order in which the recipe names them."""
    source = SourceConfig.model_validate(context.job.source)
    paths = source_files(source)
    draw = _draw(context, [warc_name(path) for path in paths])
    warcs = _by_warc(context, paths, draw)
    while group := list(islice(warcs, WARCS_PER_GROUP)):
        rows = [{"path": warc.path, "offsets": warc.offsets, "lengths": warc.lengths} for warc in group]
        pages, n_bytes = sum(len(warc.offsets) for warc in group), sum(int(warc.lengths.sum()) for warc in group)
        yield Output(pa.Table.from_pylist(rows, WANTED), counters={"pages": pages, "bytes": n_bytes})
    if source.select and source.select.urls:
        listed = len(set(map(without_scheme, read_urls(read_data_file(context.store, source.select.urls), "urls"))))
        found = context.manifest("selection").counters["urls_found"]
        yield Output(counters={"urls_listed": listed, "urls_not_in_index": max(0, listed - found)})


def _selected(context: PartContext) -> Iterator[Rows]:
    for _, table in context.all_inputs("selection"):
        yield table["place"].to_numpy(), table["offset"].to_numpy(), table["length"].to_numpy()


def _draw(context: PartContext, names: list[str]) -> Draw:
    """Return what takes those of some rows that the recipe's limit leaves."""
    most, seed = context.job.config["max_pages"], context.job.config["seed"]
    if most is None or context.manifest("selection").rows <= most:
        return lambda rows: rows

    def keys() -> Iterator[np.ndarray]:
        for places, offsets, _ in _selected(context):
            yield draw_keys(names, places, offsets, seed)

    counts = np.zeros(1 << _LEADING_BITS, np.int64)
    for some in keys():
        counts += np.bincount((some >> _REST).astype(np.int64), minlength=len(counts))
    upto = np.cumsum(counts)
    deciding = int(np.searchsorted(upto, most))
    before = int(upto[deciding] - counts[deciding])
    undecided = np.sort(np.concatenate([some[(some >> _REST) == deciding] for some in keys()]))
    largest = undecided[most - before - 1]

    def draw(rows: Rows) -> Rows:
        kept = draw_keys(names, rows[0], rows[1], seed) <= largest
        return rows[0][kept], rows[1][kept], rows[2][kept]

    return draw


def _by_warc(context: PartContext, paths: list[str], draw: Draw) -> Iterator[Records]:
    counts = np.zeros(len(paths), np.int64)
    for rows in _selected(context):
        counts += np.bincount(draw(rows)[0], minlength=len(paths))
    for first, stop in _passes(counts):
        taken = [draw(_between(rows, first, stop)) for rows in _selected(context)]
        places, offsets, lengths = (np.concatenate(column) for column in zip(*taken, strict=True))
        order = np.argsort(places, kind="stable")
        begins = np.searchsorted(places[order], np.arange(first, stop + 1))
        for place in range(first, stop):
            some = order[begins[place - first] : begins[place - first + 1]]
            if len(some):
                yield checked_records(paths[place], offsets[some], lengths[some])


def _between(rows: Rows, first: int, stop: int) -> Rows:
    wanted = (rows[0] >= first) & (rows[0] < stop)
    return rows[0][wanted], rows[1][wanted], rows[2][wanted]


def _passes(counts: np.ndarray) -> Iterator[tuple[int, int]]:
    """Yield ranges of places whose records fit into memory together, as (first, after the last)."""
    first = held = 0
    for place, count in enumerate(counts.tolist()):
        if held and held + count > ROWS_IN_MEMORY:
            yield first, place
            first, held = place, 0
        held += count
    if held:
        yield first, len(counts)


def _config(recipe: SourceRecipe) -> dict[str, Any] | None:
    """Return how the sample is drawn; None where the recipe takes whole WARC files."""
    return recipe.source.select.drawing() if recipe.source.select else None


STAGE = Stage(
    name="wanted",
    version=1,
    upstream=(Upstream("selection", all_parts=True),),
    config_of=_config,
    memory=f"the records of one WARC file, or {ROWS_IN_MEMORY:,} records where that is more",
    rows=WANTED,
    run=run,
)
