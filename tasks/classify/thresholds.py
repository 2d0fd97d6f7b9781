"""thresholds: the lowest score that each share to keep comes to, found over the whole crawl.

Notable: a stage of its own, of one part, since a share is one of all documents: no part of the scores knows it, and
parts of the corpus that each looked for it would each read the scores of all.
"""

from collections.abc import Iterator
from typing import Protocol

import pyarrow as pa

from tasks.classify.lowest_kept import LOWEST_KEPT, find_lowest_kept
from tasks.classify.score_rules import signal_name
from tasks.classify.training import ClassifierConfig
from tasks.dataset.stage import Output, PartContext, Stage, Upstream


def run(context: PartContext) -> Iterator[Output]:
    """Yield a row for each classifier of which a share is kept."""
    read = context.reader("scores")
    found = {name: find_lowest_kept(share, signal_name(name), read) for name, share in context.job.config.items()}
    rows = [{"name": name, **lowest._asdict()} for name, lowest in found.items()]
    yield Output(pa.Table.from_pylist(rows, schema=LOWEST_KEPT))


class _Recipe(Protocol):
    classifiers: dict[str, ClassifierConfig]


def _config(recipe: _Recipe) -> dict[str, float] | None:
    """Return the share to keep by classifier; None where the recipe keeps none."""
    return {name: rule.keep_top for name, rule in sorted(recipe.classifiers.items()) if rule.keep_top} or None


STAGE = Stage(
    name="thresholds",
    version=2,
    upstream=(Upstream("scores", all_parts=True),),
    config_of=_config,
    rows=LOWEST_KEPT,
    run=run,
)
