"""The report's page: whole and self-contained, honest about what is missing, harmless whatever it shows."""

import json
import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pyarrow as pa
import pytest

from flows.report.page import render, write_report
from flows.report.sections import Report
from flows.store.run_record import Recorder, RunRecord
from tasks.dataset.parts import PartWriter, read_footer, read_part
from tasks.dataset.store import Store
from tasks.registry import STAGES
from tests.flows.report_stores import add_training, synthetic_web_run, whole_run

VOID = {"meta", "br", "link", "img", "hr", "input"}


class Page(HTMLParser):
    """What stands in a page: its elements, its references, its text; refuses elements that are not closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.references: list[str] = []
        self.handlers: list[str] = []
        self.ids: list[str] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert not self._open, f"left open: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag not in VOID:
            self._open.append(tag)
        for name, value in attrs:
            if name in ("src", "href", "xlink:href", "srcset", "action", "data", "poster"):
                self.references.append(value or "")
            if name.startswith("on"):
                self.handlers.append(name)
            if name == "id":
                self.ids.append(value or "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self._open and self._open[-1] == tag, f"</{tag}> closes {self._open[-3:]}"
        self._open.pop()

    def handle_data(self, data: str) -> None:
        if "style" not in self._open:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, RunRecord]:
    return whole_run(tmp_path_factory.mktemp("whole") / "store")


@pytest.fixture
def copied(finished: tuple[Store, RunRecord], tmp_path: Path) -> tuple[Store, RunRecord]:
    shutil.copytree(finished[0].root, tmp_path / "store")
    return Store(str(tmp_path / "store")), finished[1]


def page_of(store: Store, record: RunRecord) -> Page:
    return Page(render(Report(store, record)))


def test_a_finished_run_has_every_section(finished: tuple[Store, RunRecord]) -> None:
    store, record = finished
    path = write_report(store, record)
    assert path == f"reports/{record.run}.html"
    page = Page(store.read_bytes(path).decode())
    assert {
        "funnel",
        "reasons",
        "signals",
        "domains",
        "samples",
        "duplicates",
        "tokens",
        "training",
        "evaluation",
    } <= set(page.ids)
    assert {"truth", "card", "run"} <= set(page.ids)
    assert "missing" not in page.text and "cannot be shown" not in page.text
    for expected in (
        "All counts add up, part by part: nothing disappeared.",
        "0.955",
        "2.113",
        "3 of 6 questions right",
        "What each stage changed pretrainingfinetuning held-out bits per byte",
        "questions: held out0 0 to 0.39",
        "arithmetic, 5-shot: exact match0.25 0.18 to 0.34",
        "AutoModelForCausalLM",
        "vocab_size: 384",
        record.stages["filter"].plan.fingerprint,
    ):
        assert expected in page.text


def test_the_page_needs_nothing_else_and_runs_nothing(finished: tuple[Store, RunRecord]) -> None:
    html = render(Report(*finished))
    page = Page(html)
    assert all(reference.startswith("#") for reference in page.references)
    assert {reference[1:] for reference in page.references} <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))
    assert not page.tags & {"script", "link", "img", "iframe", "object", "embed", "form", "base"}
    assert not page.handlers
    assert "@import" not in html and not re.search(r"url\((?!#)", html)
    assert "default-src 'none'" in html


def test_the_same_run_gives_the_same_page(finished: tuple[Store, RunRecord]) -> None:
    assert render(Report(*finished)) == render(Report(*finished))


def test_hostile_text_stays_text(copied: tuple[Store, RunRecord]) -> None:
    store, record = copied
    attack = "</pre></details><script>alert(1)</script>\x1b[2J\u202e<img src=x onerror=alert(2)>{{ 7*7 }}"
    for stage in ("corpus", "filter", "extract"):
        _rewrite(store, record, stage, attack)
    replies = next(Path(store.root).rglob("replies.jsonl"))
    lines = [json.loads(line) | {"reply": attack} for line in replies.read_text().splitlines()]
    replies.write_text("".join(json.dumps(line) + "\n" for line in lines))
    html = render(Report(store, record))
    page = Page(html)
    assert not page.tags & {"script", "img"} and not page.handlers
    assert "<script>alert(1)</script>" in page.text and "{{ 7*7 }}" in page.text
    assert "\x1b" not in html and "\u202e" not in html


def test_replies_hold_any_character(copied: tuple[Store, RunRecord]) -> None:
    """Line separators are text, and half a surrogate pair, which no file can hold, is shown as U+FFFD."""
    store, record = copied
    replies = next(Path(store.root).rglob("replies.jsonl"))
    first, *others = replies.read_text().split("\n")
    for text in ("One line.\u2028Another.\x85A third.", "half of \ud83d"):
        changed = json.dumps(json.loads(first) | {"reply": text}, ensure_ascii="\ud83d" in text)
        replies.write_text("\n".join([changed, *others]), encoding="utf-8")
        shown = page_of(store, record).text
        assert "3 of 6 questions right" in shown and "The evaluation cannot be shown" not in shown
        assert text.split("\u2028")[0].replace("\ud83d", "\ufffd") in shown
    record = record.model_copy(update={"error": "half of \ud83d"})
    assert store.exists(write_report(store, record))


def _rewrite(store: Store, record: RunRecord, stage: str, text: str) -> None:
    """Put `text` into every text and address of a stage's first part."""
    path = f"{record.stages[stage].plan.folder}/part-00000.parquet"
    footer, table = read_footer(store, path), pa.concat_tables(read_part(store, path))
    assert footer is not None
    for name in ("text", "url"):
        column = pa.array([text] * table.num_rows, pa.string())
        table = table.set_column(table.schema.get_field_index(name), name, column)
    with PartWriter(store, path, table.schema, stage, footer.fingerprint, footer.inputs) as writer:
        writer.write(table)
        writer.commit(footer.counters)


def test_a_corpus_only_run_says_that_there_is_no_model(tmp_path: Path) -> None:
    recorder = synthetic_web_run(tmp_path, with_model=False)
    recorder.finish()
    page = page_of(Store(str(tmp_path)), recorder.record)
    assert "The recipe trains no model" in page.text
    assert "The recipe has no stage 'pretrain'." in page.text
    assert "No model has been trained to its end." in page.text
    assert "nothing disappeared" in page.text


def test_a_run_without_a_crawl_has_no_funnel(tmp_path: Path, finished: tuple[Store, RunRecord]) -> None:
    store, record = finished
    programs = {name: stage for name, stage in record.stages.items() if name not in STAGES}
    page = page_of(store, record.model_copy(update={"stages": programs, "crawl": "no crawl"})).text
    assert "no crawl" in page and "Funnel" not in page and "No part of the extraction" not in page


def test_a_run_that_failed_in_training_shows_the_losses_so_far(tmp_path: Path) -> None:
    recorder, store = synthetic_web_run(tmp_path), Store(str(tmp_path))
    add_training(recorder, store, "pretrain", 30, finished=False)
    recorder.finish(RuntimeError("the machine <b>burnt</b> down"))
    page = page_of(store, recorder.record)
    assert "The run failed." in page.text and "the machine <b>burnt</b> down" in page.text
    assert "in 30 of 60 steps" in page.text
    assert "The stage 'sft' did not begin" in page.text
    assert "The model has not been evaluated." in page.text
    assert "No model has been trained to its end." in page.text


def test_a_run_that_failed_at_once_still_has_a_page(tmp_path: Path, finished: tuple[Store, RunRecord]) -> None:
    store = Store(str(tmp_path))
    stages = {
        name: stage.model_copy(update={"state": "planned", "summary": {}}) for name, stage in finished[1].stages.items()
    }
    recorder = Recorder(store, finished[1].model_copy(update={"stages": stages}))
    recorder.finish(ConnectionError("refused"))
    page = page_of(store, recorder.record)
    assert "No part of the extraction is finished" in page.text
    assert "cannot be shown" in page.text  # the truth, of which there is no file


def test_a_remote_store_is_read_in_place(
    finished: tuple[Store, RunRecord], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    local, record = finished
    remote = Store("memory://report-test")
    for file in Path(local.root).rglob("*"):
        relative = file.relative_to(local.root).as_posix()
        if file.is_file() and not relative.startswith("synthetic_web"):
            remote.write_bytes(relative, file.read_bytes())
    shutil.copytree(Path(local.root) / "synthetic_web", tmp_path / "scratch" / "synthetic_web")
    record = record.model_copy(update={"settings": record.settings | {"scratch": str(tmp_path / "scratch")}})
    here, there = Report(local, record), Report(remote, record)
    assert there.funnel == here.funnel and there.kept == here.kept and there.truth == here.truth
    assert there.evaluation == here.evaluation and there.trainings == here.trainings
    assert remote.exists(write_report(remote, record))


def _break_metrics(store: Store, record: RunRecord) -> None:
    for path in Path(store.root).rglob("metrics.jsonl"):
        path.write_text('{"event": "step", "step": 1}\nnot json\n')


def _break_manifest(store: Store, record: RunRecord) -> None:
    store.write_bytes(f"{record.stages['filter'].plan.folder}.manifest.json", b"{")


def _break_part(store: Store, record: RunRecord) -> None:
    store.write_bytes(f"{record.stages['extract'].plan.folder}/part-00000.parquet", b"not parquet")


def _break_decisions(store: Store, record: RunRecord) -> None:
    shutil.rmtree(Path(store.root) / "decisions")


def _break_models(store: Store, record: RunRecord) -> None:
    shutil.rmtree(Path(store.root) / "models")


def _break_truth(store: Store, record: RunRecord) -> None:
    (Path(store.root) / "synthetic_web" / "truth.jsonl.gz").write_bytes(b"")


def _lose_parts_of_the_corpus(store: Store, record: RunRecord) -> None:
    for name in store.names(record.stages["corpus"].plan.folder):
        store.remove(f"{record.stages['corpus'].plan.folder}/{name}")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (_break_metrics, "metrics.jsonl has no whole step yet."),
        (_break_manifest, "The counts do not add up."),
        (_break_part, "Removed texts cannot be shown"),
        (_break_part, "part-00000.parquet cannot be read"),
        (_lose_parts_of_the_corpus, "The corpus holds no finished document yet."),
        (_break_decisions, "there are no decisions"),
        (_break_models, "metrics.jsonl is not there"),
        (_break_truth, "Against the truth"),
    ],
)
def test_damage_is_named_and_the_rest_is_shown(
    copied: tuple[Store, RunRecord], damage: Callable[[Store, RunRecord], None], words: str
) -> None:
    damage(*copied)
    page = page_of(*copied)
    assert words in page.text
    assert copied[1].stages["tokens"].plan.fingerprint in page.text


def test_domains_are_counted_over_the_parts_that_are_there(copied: tuple[Store, RunRecord]) -> None:
    """A run in the middle of a stage has decisions of parts that its last stage has not reached."""
    store, record = copied
    whole = Report(store, record).domains
    store.remove(f"{record.stages['corpus'].plan.folder}/part-00001.parquet")
    part = Report(store, record).domains
    assert 0 < part.records < whole.records and part.last_stage == whole.last_stage == "corpus"
    assert sum(one.kept for one in part.most_kept) > 0
