"""The check for evaluation items: names those that a document holds; the recipe says whether it stays."""

import numpy as np
import pyarrow as pa
from pydantic import Field

from tasks.base.config import Config
from tasks.contamination.items import ItemIndex
from tasks.contamination.matching import find_items
from tasks.dataset.document_check import CheckResult

CONTAMINATED = "contaminated"
"""The reason given where a document that holds an evaluation item is removed."""


class ContaminationConfig(Config):
    """Which evaluation items the documents are searched for."""

    tasks: tuple[str, ...] = ()
    """Evaluation tasks, as in `evaluate.tasks`; empty: those."""
    threshold: float = Field(default=0.8, gt=0, le=1)
    """Share of a question or passage, its n-grams weighed by their rarity, that makes a document hold it; it rises to 1
    for those of 10 words or fewer, which need their answer near them as well."""
    remove: bool = False
    """Whether such documents are removed; otherwise the evaluation says which items they are."""
    items: str | None = None
    """The tasks' items in the store; a run fills it in."""


class ContaminationCheck:
    """`contamination`: the largest share of an item that is there. `contaminated_by`: the items, `task/number` each.

    Counts the documents that hold any, as `contamination.documents`.
    """

    signals = pa.schema([("contamination", pa.float32()), ("contaminated_by", pa.string())])

    def __init__(self, config: ContaminationConfig, index: ItemIndex) -> None:
        self._config, self._index = config, index

    def check(self, documents: pa.Table) -> CheckResult:
        """Search the documents for items."""
        texts = pa.concat_arrays(documents["text"].chunks) if documents.num_rows else pa.array([], pa.string())
        shares = np.zeros(documents.num_rows, np.float32)
        names: list[list[str]] = [[] for _ in range(documents.num_rows)]
        for match in find_items(texts, self._index, self._config.threshold):
            shares[match.document] = max(shares[match.document], match.score)
            names[match.document].append(self._index.items[match.item].name)
        columns = [pa.array(shares), pa.array([" ".join(own) or None for own in names], pa.string())]
        holds = shares > 0
        failing = {CONTAMINATED: holds} if self._config.remove else {}
        counters = {"contamination.documents": int(holds.sum())}
        return CheckResult(failing, pa.table(columns, schema=self.signals), counters=counters)
