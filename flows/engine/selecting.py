"""The two stages of a recipe that selects pages: their jobs, and what they found.

Notable: nothing here needs Prefect, since `sluice plan` makes the selection too, for its cost, and a run then goes on
from it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pyarrow as pa

from flows.engine.part_job import part_job
from flows.recipe.stage_plan import StagePlan
from tasks.base.errors import PermanentError
from tasks.base.fingerprint import digest
from tasks.dataset.manifest import Manifest, part_path
from tasks.dataset.parts import read_part
from tasks.dataset.stage import PartJob, inputs_digest
from tasks.dataset.store import Store
from tasks.fetch.columnar_index import list_index_files
from tasks.fetch.crawl_listing import SourceConfig, WarcAddress, list_warcs
from tasks.fetch.page_selection import SelectConfig
from tasks.fetch.range_planning import RangeCost, checked_records, range_cost
from tasks.registry import STAGES

SELECTING = ("selection", "wanted")
"""The stages that say which records are fetched, in order."""


def selecting_jobs(
    store: Store, source: SourceConfig, plan: StagePlan, manifests: Mapping[str, Manifest]
) -> list[PartJob]:
    """A job for each part of one of the two stages; `source` names the crawl that is meant."""
    if plan.name == "selection":
        inputs = {path: digest({"path": path}) for path in list_index_files(source)}
    else:
        inputs = {"": inputs_digest(STAGES[plan.name], 0, 1, manifests)}
    return [
        part_job(store, plan, index, made_from, {"source": source.model_dump(mode="json"), "path": path})
        for index, (path, made_from) in enumerate(inputs.items())
    ]


def wanted_warcs(store: Store, source: SourceConfig, plan: StagePlan) -> list[WarcAddress]:
    """The WARC files of which something is wanted, in the order of the rows of the `wanted` dataset.

    Raises PermanentError where nothing is wanted at all.
    """
    paths = {path for table in _wanted(store, plan, ["path"]) for path in table["path"].to_pylist()}
    if not paths:
        raise PermanentError(
            f"source.select: the index of {source.crawl} has no page that meets all conditions in the WARC files that"
            f" source.warcs names ({source.warcs}): ask for more of them, or for less of each page."
        )
    return [warc for warc in list_warcs(source) if warc.path in paths]


def fetch_cost(store: Store, plan: StagePlan, select: SelectConfig) -> RangeCost:
    """What fetching all that is wanted takes."""
    cost = RangeCost()
    for table in _wanted(store, plan):
        for row in table.to_pylist():
            cost += range_cost(checked_records(**row), select)
    return cost


def _wanted(store: Store, plan: StagePlan, columns: list[str] | None = None) -> Iterator[pa.Table]:
    return read_part(store, part_path(plan.name, plan.fingerprint, 0), columns)
