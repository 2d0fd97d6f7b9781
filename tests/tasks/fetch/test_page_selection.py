"""Conditions on pages: the index's rows that meet them are those a person would name, and no row group is lost."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tasks.base.language_codes import THREE_LETTERS, three_letter_code
from tasks.fetch.page_selection import SelectConfig, draw_keys, group_filter, row_filter
from tests.tasks.indexed_crawl import surt

LABELS = st.sampled_from(["a", "example", "www", "www2", "example-shop", "co", "de", "org"])
HOSTS = st.lists(LABELS, min_size=2, max_size=4).map(".".join)
CODES = ["deu", "eng", "fra", "jpn"]
ROWS = st.fixed_dictionaries(
    {
        "url_host_name": HOSTS,
        "content_languages": st.none() | st.lists(st.sampled_from(CODES), min_size=1, max_size=3).map(",".join),
        "content_mime_detected": st.sampled_from(["text/html", "text/plain"]),
        "fetch_status": st.sampled_from([200, 206, 404]),
        "port": st.sampled_from(["", ":8080"]),
    }
)
SELECTS = st.builds(
    SelectConfig,
    languages=st.lists(st.sampled_from(["de", "en", "jpn"]), max_size=2).map(tuple),
    domains=st.lists(HOSTS, max_size=2).map(tuple),
    tlds=st.lists(st.sampled_from(["de", "org"]), max_size=2).map(tuple),
    mime=st.lists(st.sampled_from(["text/html", "text/plain"]), max_size=1).map(tuple),
    status=st.lists(st.sampled_from([200, 404]), max_size=2).map(tuple),
)


def is_wanted(row: dict[str, Any], select: SelectConfig) -> bool:
    host, languages = row["url_host_name"], (row["content_languages"] or "").split(",")
    return (
        (not select.languages or any(three_letter_code(code) in languages for code in select.languages))
        and (not select.domains or any(host == name or host.endswith(f".{name}") for name in select.domains))
        and (not select.tlds or host.rpartition(".")[2] in select.tlds)
        and (not select.mime or row["content_mime_detected"] in select.mime)
        and (not select.status or row["fetch_status"] in select.status)
    )


def as_table(rows: list[dict[str, Any]]) -> pa.Table:
    columns = {name: [row[name] for row in rows] for name in rows[0] if name != "port"}
    columns["content_languages"] = pa.array(columns["content_languages"], pa.string())
    columns["url_host_tld"] = [row["url_host_name"].rpartition(".")[2] for row in rows]
    columns["url_surtkey"] = [surt(f"http://{row['url_host_name']}{row['port']}/") for row in rows]
    return pa.table(columns | {"row": list(range(len(rows)))})


@given(st.lists(ROWS, min_size=1, max_size=12), SELECTS)
def test_rows_that_meet_every_condition_are_chosen(rows: list[dict[str, Any]], select: SelectConfig) -> None:
    table, condition = as_table(rows), row_filter(select)
    found = table if condition is None else table.filter(condition)
    expected = [number for number, row in enumerate(rows) if is_wanted(row, select)]
    assert found["row"].to_pylist() == expected
    # What statistics are asked for is never stricter.
    assert set(expected) <= set(table.filter(group_filter(select, set(table.column_names)))["row"].to_pylist())


@pytest.mark.parametrize(
    ("given", "means"),
    [
        ("Example.ORG.", "example.org"),
        ("bücher.de", "xn--bcher-kva.de"),
        ("straße.de", "xn--strae-oqa.de"),
        (".co.uk", "co.uk"),
    ],
)
def test_domains_are_taken_as_the_index_writes_them(given: str, means: str) -> None:
    assert SelectConfig(domains=(given,)).domains == (means,)


@pytest.mark.parametrize(
    "wrong",
    [
        {"languages": ["german"]},
        {"languages": ["xx"]},
        {"domains": ["https://example.org"]},
        {"domains": ["*.example.org"]},
        {"mime": ["html"]},
        {"status": [99]},
        {"max_pages": 0},
        {"whole_from_share": 1.5},
        {"languages": "de"},
    ],
)
def test_senseless_conditions_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        SelectConfig(**wrong)


def test_every_two_letter_code_has_one_of_three() -> None:
    assert len(THREE_LETTERS) == 184
    assert [three_letter_code(code) for code in ("de", "zh", "el", "no", "ceb")] == ["deu", "zho", "ell", "nor", "ceb"]


def test_how_bytes_come_is_no_part_of_the_meaning() -> None:
    select = SelectConfig(languages=("de", "fr"), max_pages=5)
    other = SelectConfig(languages=("fr", "de", "fr"), max_pages=5, merge_gap_bytes=0, whole_from_share=1.0)
    assert select.meaning() == other.meaning()
    assert select.meaning() != SelectConfig(languages=("de", "fr"), max_pages=5, seed=1).meaning()


def test_a_records_key_depends_on_its_address_and_the_seed_alone() -> None:
    """Frozen: another key would draw other pages from the same crawl."""
    offsets = np.array([0, 1, 1 << 33])
    keys = draw_keys(["CC-A", "CC-B"], np.array([0, 0, 1]), offsets, seed=7)
    assert keys.tolist() == draw_keys(["CC-B", "CC-A"], np.array([1, 1, 0]), offsets, seed=7).tolist()
    assert keys.tolist() == [6139577617434419810, 6421574789350338302, 2305920014266210282]
    assert len({*keys.tolist(), *draw_keys(["CC-A", "CC-B"], np.array([0, 0, 1]), offsets, seed=8).tolist()}) == 6


def test_keys_are_spread_evenly() -> None:
    keys = draw_keys(["CC-A"], np.zeros(10_000, np.int64), np.arange(10_000) * 1000, seed=0)
    shares = np.bincount((keys >> np.uint64(60)).astype(np.int64), minlength=16) / len(keys)
    assert shares.min() > 0.05
    assert shares.max() < 0.075
