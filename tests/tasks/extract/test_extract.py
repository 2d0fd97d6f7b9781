"""The extract stage: each record is told before it is decoded, those that broke a worker are decided on unread."""

from itertools import accumulate
from pathlib import Path
from typing import Any

from flows.recipe.recipe import Recipe
from flows.stages.plan import plan_stages
from tasks.dataset.stage import PartContext, PartJob
from tasks.dataset.store import Store
from tasks.extract import extract
from tasks.extract.config import ExtractionConfig
from tests.tasks.warc_builder import http_response, members, page, record

WARC = "crawl-data/CC-MAIN-2026-45/segments/1.1/warc/a.warc.gz"
BROKEN = record(http_response(b"abc", Content_Encoding="rot13"), url="https://tolvane.example/broken")
RECORDS = [page(0), BROKEN, page(2)]
OFFSETS = [0, *accumulate(len(members([one])) for one in RECORDS)][:-1]


class Told:
    """A supervisor that remembers."""

    def __init__(self) -> None:
        self.positions: list[int] = []

    def at(self, position: int) -> None:
        """Remember a position once."""
        if position not in self.positions:
            self.positions.append(position)


def decisions(
    folder: Path, skip: dict[int, str], records: list[bytes] = RECORDS, **extract_config: Any
) -> tuple[list[dict[str, Any]], list[int]]:
    """The decisions on `records`, and the positions told."""
    (folder / WARC).parent.mkdir(parents=True, exist_ok=True)
    (folder / WARC).write_bytes(members(records))
    source = {"base": str(folder), "crawl": "CC-MAIN-2026-45"}
    config = ExtractionConfig.model_validate(extract_config).model_dump(mode="json")
    job = PartJob(
        str(folder / "store"), "extract", "f" * 16, 0, "inputs", config, {"fetch": "0" * 16}, source, WARC, skip
    )
    told = Told()
    outputs = list(extract.run(PartContext(job, Store(job.store), told)))
    rows = [row for output in outputs if output.decisions is not None for row in output.decisions.to_pylist()]
    return rows, told.positions


def test_a_record_that_gives_no_page_keeps_its_address(tmp_path: Path) -> None:
    rows, told = decisions(tmp_path, {})
    assert [(row["reasons"], row["url"]) for row in rows] == [
        ([], "https://tolvane.example/0"),
        (["bad_body"], "https://tolvane.example/broken"),
        ([], "https://tolvane.example/2"),
    ]
    assert told == OFFSETS


def test_a_record_that_broke_a_worker_is_not_decoded_again(tmp_path: Path) -> None:
    rows, told = decisions(tmp_path, {OFFSETS[1]: "stall"})
    assert [row["reasons"] for row in rows] == [[], ["extractor_stall"], []]
    assert rows[1]["url"] == "https://tolvane.example/broken"
    assert told == OFFSETS


def test_copies_in_one_file_name_the_first_that_went_on(tmp_path: Path) -> None:
    copies = [
        page(7, WARC_Target_URI="https://tolvane.example/casino-poker"),
        page(7, WARC_Payload_Digest="sha1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
        page(7),
        page(8),
        page(7, WARC_Target_URI="https://mirror.example/7"),
    ]
    for _ in range(2):
        rows, _ = decisions(tmp_path, {}, copies)
        reasons = [row["reasons"] for row in rows]
        assert reasons == [["url_soft_words"], ["bad_digest"], [], [], ["seen"]]
        assert [row["seen_as"] for row in rows] == [None, None, None, None, rows[2]["id"]]
    assert [row["kept"] for row in decisions(tmp_path, {}, copies, drop_seen=False)[0]][-3:] == [True] * 3


def test_a_copy_of_a_page_that_broke_a_worker_is_read_itself(tmp_path: Path) -> None:
    rows, _ = decisions(tmp_path, {0: "memory"}, [page(7), page(7)])
    assert [row["reasons"] for row in rows] == [["extractor_memory"], []]


def test_lists_come_from_where_the_recipe_says(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("# mine\ntolvane\n")
    urls = {"hard_words": [str(tmp_path / "words.txt")]}
    rows, _ = decisions(tmp_path, {}, [page(1)], urls=urls)
    assert rows[0]["reasons"] == ["url_hard_word"]


def test_the_languages_to_guess_for_follow_the_filter_s() -> None:
    def planned(**sections: Any) -> Any:
        recipe = Recipe.model_validate({"name": "r", **sections})
        return plan_stages(recipe, "CC-MAIN-2026-45", {})["extract"].config["guess_languages"]

    assert planned() == ["en"]
    assert planned(filter={"languages": ["de", "fr"]}) == ["de", "fr"]
    assert planned(filter={"languages": []}) == []
    assert planned(extract={"guess_languages": []}) == []
    assert planned(extract={"guess_languages": ["pl"]}, filter={"languages": ["de"]}) == ["pl"]
