"""Which evaluation items stand in the documents of a corpus, and on which pages."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from tasks.dataset.manifest import decisions_folder, part_names, part_path
from tasks.dataset.parts import read_part
from tasks.dataset.store import Store

_MOST_PAGES = 20
"""Pages that are named for an item."""


def contaminated_items(store: Store, fingerprint: str) -> Mapping[str, Sequence[str]]:
    """Return the addresses of the kept pages that hold each item (`task/number`), for the corpus with a fingerprint.

    Its decisions must have the column `contaminated_by`.
    """
    folder = decisions_folder("corpus", fingerprint)
    found: defaultdict[str, list[str]] = defaultdict(list)
    for index, name in enumerate(part_names(store, folder)):
        decisions = read_part(store, f"{folder}/{name}", ["id", "kept", "contaminated_by"])
        is_hit = pc.field("kept") & pc.field("contaminated_by").is_valid()
        hits = [row for table in decisions for row in table.filter(is_hit).to_pylist()]
        if not hits:
            continue
        wanted = pa.array([row["id"] for row in hits])
        urls: dict[str, str] = {}
        for table in read_part(store, part_path("corpus", fingerprint, index), ["id", "url"]):
            own = table.filter(pc.is_in(table["id"], value_set=wanted))
            urls |= dict(zip(own["id"].to_pylist(), own["url"].to_pylist(), strict=True))
        for row in hits:
            for item in row["contaminated_by"].split():
                if len(found[item]) < _MOST_PAGES:
                    found[item].append(urls[row["id"]] or row["id"])
    return dict(sorted(found.items()))
