"""What a CDX file says is read as far as it is one: crawls meet any address, and other programs write any field."""

import json
from pathlib import Path
from typing import Any

import pytest

from tasks.base.errors import PermanentError
from tasks.fetch.cdx_sidecar import CdxSidecar
from tasks.fetch.page_selection import SelectConfig
from tests.tasks.fetch.test_range_fetching import QUICK


def line(**fields: Any) -> str:
    whole = {"url": "http://example.org/", "status": "200", "mime": "text/html", "offset": "1", "length": "2"} | fields
    return f"org,example)/ 20260101000000 {json.dumps(whole)}"


def selected(folder: Path, lines: list[str], **conditions: Any) -> int:
    """How many records of a sidecar meet the conditions."""
    (folder / "a.cdxj").write_text("\n".join(lines), encoding="utf-8")
    tables = CdxSidecar(str(folder), "a.warc.gz", QUICK).selected(SelectConfig(**conditions))
    return sum(table.num_rows for table in tables)


@pytest.mark.parametrize(
    "url", ["http://[x/", "http://[::1", "http://a\ud800b/", f"http://{'a' * 300}.org/", "http://a..b/", "dns:", ""]
)
def test_an_address_that_is_none_is_in_no_domain_and_stops_nothing(tmp_path: Path, url: str) -> None:
    lines = [line(url=url), line()]
    assert selected(tmp_path, lines) == 2
    assert selected(tmp_path, lines, domains=("example.org",)) == 1


@pytest.mark.parametrize("written", ["straße.example", "xn--strae-oqa.example", "STRAẞE.example"])
def test_an_international_domain_is_found_however_it_is_written(tmp_path: Path, written: str) -> None:
    lines = [line(url=f"http://{written}/"), line(url="http://strasse.example/")]
    assert selected(tmp_path, lines, domains=("straße.example",)) == 1


@pytest.mark.parametrize("fields", [{"mime": 3}, {"languages": ["eng"]}, {"offset": "1" * 5000}])
def test_a_field_of_another_kind_is_named_with_its_line(tmp_path: Path, fields: dict[str, Any]) -> None:
    with pytest.raises(PermanentError, match=r"a\.cdxj, line 2: .* is no record of a CDX file"):
        selected(tmp_path, [line(), line(**fields)])
