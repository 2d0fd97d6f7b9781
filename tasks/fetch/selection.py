"""selection: one file of an index becomes the places of its records that meet the recipe's conditions.

Notable:
- An index is a crawl's columnar one, or where there is none the CDX file beside each WARC file.
- The sample that `max_pages` asks for is drawn in `wanted`, so another size of it does not read the index again.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks.dataset.data_files import read_data_file
from tasks.dataset.schemas import SELECTION
from tasks.dataset.stage import DatasetContext, Output, PartContext, PartInput, Stage
from tasks.fetch.cdx_sidecar import CdxSidecar
from tasks.fetch.columnar_index import INDEX_ENDING, IndexFile, list_index_files
from tasks.fetch.crawl_listing import SourceConfig, SourceRecipe
from tasks.fetch.page_selection import SelectConfig, read_urls
from tasks.fetch.source_listing import content_digest_of, source_files, source_root
from tasks.sources.transfer import NotFound


def run(context: PartContext) -> Iterator[Output]:
    """Yield the rows of the index file that the job names, a row group at a time, those of one WARC together."""
    source = SourceConfig.model_validate(context.job.source)
    warcs = pa.array(source_files(source), pa.string())
    kind = IndexFile if context.job.file.endswith(INDEX_ENDING) else CdxSidecar
    index = kind(source_root(source), context.job.file, source.transfer)
    select = SelectConfig.model_validate(context.job.config["conditions"])
    urls = read_urls(read_data_file(context.store, select.urls), "source.select.urls") if select.urls else ()
    for table in index.selected(select, urls):
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
    found = {"urls_found": len(index.urls_found)} if select.urls else {}
    yield Output(counters={"index_bytes": index.bytes_read, **found})


def _config(recipe: SourceRecipe) -> dict[str, Any] | None:
    """Return the crawl, its WARC files and the conditions; None where the recipe takes whole WARC files."""
    source = recipe.source.model_dump(mode="json", include={"crawl", "warcs"})
    return {**source, "conditions": recipe.source.select.conditions()} if recipe.source.select else None


def _parts(context: DatasetContext) -> list[PartInput]:
    """Return a part for each file of the columnar index; where there is none, for each WARC file with its sidecar."""
    source = SourceConfig.model_validate(context.source)
    try:
        files = source_files(source) if source.kind == "warcs" else list_index_files(source)
    except NotFound:
        files = source_files(source)
    return [PartInput(file, content_digest_of(source, file)) for file in files]


STAGE = Stage(name="selection", version=1, config_of=_config, rows=SELECTION, run=run, parts=_parts)
