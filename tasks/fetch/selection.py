"""selection: one file of the columnar index becomes the places of those of its records that meet the recipe's
conditions.

Notable: the sample that `max_pages` asks for is not drawn here but in `wanted`, so another size of it does not read the
index again.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks.dataset.schemas import SELECTION
from tasks.dataset.stage import Output, PartContext, Stage
from tasks.fetch.columnar_index import IndexFile
from tasks.fetch.crawl_listing import SourceConfig, list_warcs
from tasks.fetch.page_selection import SelectConfig


def run(context: PartContext) -> Iterator[Output]:
    """The rows of the index file at `job.source["path"]`, a row group at a time, those of one WARC together."""
    source, path = SourceConfig.model_validate(context.job.source["source"]), str(context.job.source["path"])
    warcs = pa.array([warc.path for warc in list_warcs(source)], pa.string())
    index = IndexFile(source.base, path, source.transfer)
    for table in index.selected(SelectConfig.model_validate(context.job.config["conditions"])):
        names = table["warc_filename"].combine_chunks()
        found = pa.table(
            {
                "place": pc.index_in(names.dictionary, warcs).take(names.indices),
                "offset": table["warc_record_offset"].cast(pa.int64()),
                "length": table["warc_record_length"].cast(pa.int64()),
            }
        )
        here = found.filter(found["place"].is_valid())
        order = np.lexsort((here["offset"].to_numpy(), here["place"].to_numpy()))
        yield Output(here.take(order), counters={"selected": here.num_rows, "in_other_warcs": len(found) - len(here)})
    yield Output(counters={"index_bytes": index.bytes_read})


def schema(context: PartContext) -> pa.Schema:
    """The columns of the selected records."""
    return SELECTION


STAGE = Stage("selection", 1, (), run, schema)
