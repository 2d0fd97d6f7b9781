"""The synthetic web as files: the same bytes each time, in Common Crawl's layout, with a truth that fits."""

import base64
import gzip
import hashlib
import json
import re
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from fastwarc.warc import ArchiveIterator, WarcRecordType
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tasks.base.errors import PermanentError
from tasks.synthetic_web.generation import SyntheticWebSummary, generate_synthetic_web, read_summary
from tasks.synthetic_web.texts.config import SyntheticWebConfig
from tasks.synthetic_web.texts.draws import Draws
from tasks.synthetic_web.truth import PageTruth, read_truth
from tasks.synthetic_web.web.warc_writing import gzip_member

SMALL = SyntheticWebConfig(
    seed=7,
    warcs=2,
    towns=6,
    pages_per_town=8,
    capital_extra_pages=2,
    held_out_facts=12,
    hidden_places=2,
    mirrors=12,
    near_duplicates=12,
    foreign_pages=16,
    poor_pages=24,
    broken_responses=27,
)
GOLDEN_DIGEST = "493b89710eb83931322e8e318a96c25739423ae16bd017e2e6e1248bf27c1bad"


def digest_of(folder: Path) -> str:
    """SHA-256 over all names and bytes below a folder."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("synthetic_web") / "web"
    generate_synthetic_web(folder, SMALL)
    return folder


@pytest.fixture(scope="module")
def summary(web: Path) -> SyntheticWebSummary:
    return read_summary(web)


@pytest.fixture(scope="module")
def truth(web: Path) -> dict[str, PageTruth]:
    return {page.id: page for page in read_truth(web)}


def test_same_seed_gives_the_same_bytes_as_ever(web: Path) -> None:
    assert digest_of(web) == GOLDEN_DIGEST


def test_another_seed_gives_other_texts_and_facts(
    tmp_path: Path, summary: SyntheticWebSummary, truth: dict[str, PageTruth]
) -> None:
    other = generate_synthetic_web(tmp_path / "other", SMALL.model_copy(update={"seed": 8}))
    assert other.digest != summary.digest
    texts = {page.main_text for page in truth.values() if page.main_text}
    assert texts.isdisjoint(page.main_text for page in read_truth(tmp_path / "other"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"crawl": "CC-MAIN-2025-53"}, "a week that its year does not have"),
        ({"crawl": "latest"}, "pattern"),
        ({"towns": 3, "held_out_facts": 16}, "held_out_facts: at most"),
        ({"town": 3}, "Extra inputs"),
    ],
)
def test_a_wrong_configuration_is_refused_by_name(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        SyntheticWebConfig.model_validate(changes)


def test_a_web_that_is_there_is_left_alone_and_another_is_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "web"
    first = generate_synthetic_web(folder, SMALL)
    written = (folder / "collinfo.json").stat().st_mtime_ns
    assert generate_synthetic_web(folder, SMALL) == first
    assert (folder / "collinfo.json").stat().st_mtime_ns == written
    changed = generate_synthetic_web(folder, SMALL.model_copy(update={"warcs": 1}))
    assert len(changed.warcs) == 1
    assert len(list(folder.rglob("*.warc.gz"))) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["web"]


def test_a_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("do not lose me")
    with pytest.raises(PermanentError, match=r"not a synthetic web"):
        generate_synthetic_web(tmp_path, SMALL)
    assert (tmp_path / "letter.txt").exists()


def test_a_failure_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tasks.synthetic_web.generation.write_warc", full_disk)
    with pytest.raises(OSError, match="No space"):
        generate_synthetic_web(tmp_path / "web", SMALL)
    assert list(tmp_path.iterdir()) == []


def test_the_listing_names_the_files_in_common_crawls_layout(web: Path, summary: SyntheticWebSummary) -> None:
    listed = gzip.decompress((web / f"crawl-data/{SMALL.crawl}/warc.paths.gz").read_bytes()).decode().splitlines()
    assert tuple(listed) == summary.warcs
    pattern = (
        r"crawl-data/CC-MAIN-2026-45/segments/\d{13}\.\d\d/warc/CC-MAIN-20261102\d{6}-20261102\d{6}-0000[01]\.warc\.gz"
    )
    for path in listed:
        assert re.fullmatch(pattern, path)
        assert (web / path).is_file()
    assert json.loads((web / "collinfo.json").read_text())[0]["id"] == SMALL.crawl


def test_records_come_as_triples_with_right_digests_where_the_truth_says(
    web: Path, summary: SyntheticWebSummary, truth: dict[str, PageTruth]
) -> None:
    seen = []
    for path in summary.warcs:
        base = Path(path).name.removesuffix(".warc.gz")
        types = []
        with (web / path).open("rb") as stream:
            for record in ArchiveIterator(stream, parse_http=False):
                types.append(record.record_type)
                offset, headers, block = record.stream_pos, dict(record.headers), record.reader.read()
                assert headers["WARC-Block-Digest"] == sha1(block)
                if record.record_type == WarcRecordType.response:
                    assert headers["WARC-Payload-Digest"] == sha1(block.split(b"\r\n\r\n", 1)[1])
                    assert truth[f"{base}:{offset}"].url == headers["WARC-Target-URI"]
                    assert headers["WARC-Date"].startswith("2026-11-02T")
                    seen.append(f"{base}:{offset}")
        triple = [WarcRecordType.request, WarcRecordType.response, WarcRecordType.metadata]
        assert types[0] == WarcRecordType.warcinfo
        assert types[1:] == triple * (len(types) // 3)
    assert seen == list(truth)


def test_each_record_is_a_gzip_member_that_can_be_read_alone(web: Path, summary: SyntheticWebSummary) -> None:
    data = (web / summary.warcs[0]).read_bytes()
    page = next(page for page in read_truth(web) if page.kind == "article")
    member = data[int(page.id.rsplit(":", 1)[1]) :]
    text = gzip.decompress(member[: member.index(b"\x1f\x8b\x08", 3)]).decode("latin-1")
    assert text.startswith("WARC/1.0\r\nWARC-Type: response\r\n")
    assert f"WARC-Target-URI: {page.url}\r\n" in text
    assert "\r\nHTTP/1.1 200 OK\r\n" in text


def test_counts_of_kinds_are_those_of_the_configuration(
    summary: SyntheticWebSummary, truth: dict[str, PageTruth]
) -> None:
    kinds = Counter(page.kind for page in truth.values())
    assert dict(kinds) == summary.kinds
    assert kinds["article"] == 6 * 8 + 2
    assert (kinds["mirror"], kinds["near_duplicate"], kinds["foreign"]) == (12, 12, 16)
    assert sum(kinds.values()) == summary.records == 50 + 24 + 16 + 24 + 27
    assert len({page.url for page in truth.values()}) == summary.records


def test_a_cluster_has_one_original_which_comes_first(truth: dict[str, PageTruth]) -> None:
    clusters: dict[str, list[PageTruth]] = {}
    for page in truth.values():
        if page.duplicate_cluster is not None:
            clusters.setdefault(page.duplicate_cluster, []).append(page)
    assert sum(len(pages) - 1 for pages in clusters.values()) == 24
    for pages in clusters.values():
        assert [page.original for page in pages] == [True] + [False] * (len(pages) - 1)
        assert pages[0].expected == "keep"
        assert {page.expected for page in pages[1:]} == {"duplicates"}
        mirrors = {page.main_text for page in pages if page.kind == "mirror"}
        assert mirrors <= {pages[0].main_text}
        assert pages[0].main_text not in {page.main_text for page in pages if page.kind == "near_duplicate"}


@given(st.binary(max_size=200_000))
def test_gzip_members_hold_what_was_put_in(data: bytes) -> None:
    assert gzip.decompress(gzip_member(data)) == data


@given(st.integers(), st.lists(st.integers(), unique=True, max_size=30))
def test_a_shuffle_keeps_every_item_and_a_sample_repeats_none(seed: int, items: list[int]) -> None:
    draws = Draws(seed, "test")
    assert sorted(draws.shuffled(items)) == sorted(items)
    sample = draws.sample(items, len(items) // 2)
    assert len(set(sample)) == len(items) // 2


def test_draws_are_the_same_everywhere() -> None:
    draws = Draws(1, "golden")
    assert [draws.below(1000) for _ in range(6)] == [38, 194, 909, 139, 484, 546]


def sha1(data: bytes) -> str:
    return "sha1:" + base64.b32encode(hashlib.sha1(data, usedforsecurity=False).digest()).decode()


def test_what_a_killed_writer_left_is_removed_and_writers_take_turns(tmp_path: Path) -> None:
    script = (
        "import sys, time; from tasks.synthetic_web import generation\n"
        "def write(folder, *rest): (folder / 'half').touch(); print('writing', flush=True); time.sleep(600)\n"
        "generation._write = write\n"
        "generation.generate_synthetic_web(sys.argv[1])"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "web")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as killed:
        assert killed.stdout and killed.stdout.readline() == "writing\n"
        assert (tmp_path / ".web.new" / "half").exists()
        killed.kill()
    with ThreadPoolExecutor() as threads:
        one, other = threads.map(generate_synthetic_web, [tmp_path / "web"] * 2, [SMALL] * 2)
    assert one == other == read_summary(tmp_path / "web")
    assert [path.name for path in tmp_path.iterdir()] == ["web"]
