"""A corpus that comes out empty: the error says which stage removed how many, and for what."""

import dataclasses

import pytest

from flows.engine.nothing_kept import require_documents
from flows.stages.registry import STAGES
from tasks.base.errors import PermanentError
from tasks.dataset.manifest import Manifest, ManifestPart


def manifest(rows: int, parts: int = 1, **counters: int) -> Manifest:
    """A finished dataset of which only the counts matter here."""
    names = {"stage": "s", "fingerprint": "f", "version": 1, "config": {}, "upstream": {}, "digest": "d", "bytes": 0}
    counters = {name.replace("removed_", "removed."): count for name, count in counters.items()}
    part = ManifestPart(path="part-00000.parquet", rows=rows, bytes=0, digest="d", inputs="i", counters=counters)
    return Manifest.model_validate(names | {"parts": [part] * parts, "rows": rows, "counters": counters})


FETCHED = manifest(1, read=1, kept=1)
MANY = {f"removed_r{number}": 9 - number for number in range(7)}


@pytest.mark.parametrize(
    ("manifests", "said"),
    [
        (
            {"fetch": FETCHED, "extract": manifest(0, read=3600, kept=0, removed_status=3600)},
            "no document was kept. extract removed all 3,600 for the same reason: status. Look at the pages",
        ),
        (
            {
                "fetch": FETCHED,
                "extract": manifest(4, read=10, kept=4, removed_status=5, removed_not_html=1),
                "filter": manifest(0, read=4, kept=0, removed_language=4, removed_gopher_min_words=1),
            },
            "no document was kept. extract removed 6 of 10: status 5, not_html 1. "
            "filter removed all 4: language 4, gopher_min_words 1. Look at the texts",
        ),
        (
            {"extract": manifest(9, read=9, kept=9), "filter": manifest(9, read=9, kept=9)}
            | {"corpus": manifest(0, read=9, kept=0, **MANY)},
            "was kept. corpus removed all 9: r0 9, r1 8, r2 7, r3 6, r4 5 and 2 more reasons. Look at the texts",
        ),
        (
            {"fetch": manifest(0, read=2, kept=0, failed=2, removed_missing=2)},
            "fetch removed all 2 for the same reason: missing.",
        ),
        ({"fetch": FETCHED, "extract": manifest(0)}, "extract had nothing to read."),
    ],
)
def test_the_leading_reasons_are_named(manifests: dict[str, Manifest], said: str) -> None:
    with pytest.raises(PermanentError) as raised:
        require_documents(STAGES[list(manifests)[-1]], manifests)
    assert str(raised.value).startswith("The corpus is empty: ") and said in str(raised.value)


def test_synthetic_data_that_comes_out_empty_is_no_empty_corpus() -> None:
    manifests = {"fetch": FETCHED, "responses": manifest(0, read=60, kept=0, removed_cut=60)}
    said = "The synthetic data is empty: no reply was kept. responses removed all 60 for the same reason: cut. Look at"
    with pytest.raises(PermanentError, match=said):
        require_documents(STAGES["responses"], manifests)
    told: list[str] = []
    require_documents(STAGES["responses"], manifests, told.append)
    assert len(told) == 1 and told[0].startswith("The synthetic data is empty")
    with pytest.raises(PermanentError, match="The corpus is empty"):
        require_documents(STAGES["filter"], {"filter": manifest(0, read=1, kept=0, removed_language=1)}, told.append)


def test_what_keeps_a_document_or_decides_on_none_goes_on() -> None:
    require_documents(STAGES["filter"], {"filter": manifest(1, read=9, kept=1, removed_language=8)})
    require_documents(STAGES["duplicates"], {"duplicates": manifest(0)})


def test_a_stage_of_the_users_own_ends_the_run_where_others_read_its_documents() -> None:
    own = dataclasses.replace(STAGES["filter"], name="calm")
    manifests = {"filter": manifest(4, read=4, kept=4), "calm": manifest(0, read=4, kept=0, removed_loud=4)}
    require_documents(own, manifests)
    with pytest.raises(PermanentError, match="calm removed all 4 for the same reason: loud"):
        require_documents(dataclasses.replace(own, in_place_of="filter"), manifests)
