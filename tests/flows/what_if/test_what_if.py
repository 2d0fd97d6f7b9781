"""What-if: the decisions that a real run makes, bounds where nothing was measured, errors that say what to do."""

import json
import shutil
from io import StringIO
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from flows.cli import main
from flows.recipe.recipe import Recipe
from flows.store.run_record import RunRecord, latest_run
from flows.what_if.outcome import StageChange, WhatIf
from flows.what_if.terminal import print_what_if
from flows.what_if.what_if import what_if
from tasks.base.errors import PermanentError, UsageError
from tasks.dataset.manifest import decisions_folder
from tasks.dataset.store import Store
from tests.flows.report_stores import RECIPE, crawl

EVERY = 10_000
"""More samples than there are documents."""
CHANGES: dict[str, dict[str, Any]] = {
    "stricter": {"thresholds": {"gopher_min_words": 62}},
    "laxer": {"thresholds": {"gopher_min_words": 10, "c4_sentences": 1, "fineweb_terminal_lines": 0.0}},
    "both ways": {"thresholds": {"gopher_min_words": 62, "gopher_alpha_words": 0.1, "c4_sentences": 0}},
    "another profile": {"profiles": ["gopher"]},
    "no profile": {"profiles": []},
    "more languages": {"languages": ["en", "de", "pl"], "thresholds": {"gopher_stop_word_occurrences": 0}},
    "every language": {"languages": [], "min_language_score": 0.99, "profiles": ["c4"]},
    "nothing": {},
}


def recipe(**filter_changes: Any) -> Recipe:
    return Recipe.model_validate(RECIPE | {"filter": filter_changes})


def decisions(store: Store, record: RunRecord, stage: str) -> dict[str, list[str]]:
    """The reasons of every document, by id."""
    folder = Path(store.root) / decisions_folder(stage, record.stages[stage].plan.fingerprint)
    rows = [row for part in sorted(folder.iterdir()) for row in pq.read_table(part).to_pylist()]
    return {row["id"]: row["reasons"] for row in rows}


def of(found: WhatIf, stage: str) -> StageChange:
    return next(one for one in found.stages if one.stage == stage)


@pytest.mark.parametrize("changes", CHANGES.values(), ids=CHANGES)
def test_it_says_what_a_run_of_the_recipe_says(
    crawled: tuple[Store, RunRecord], tmp_path: Path, changes: dict[str, Any]
) -> None:
    found = what_if(crawled[0], recipe(**changes), EVERY)
    store = Store(str(tmp_path))
    record = crawl(tmp_path, {"filter": changes})
    before, after = decisions(*crawled, "filter"), decisions(store, record, "filter")
    # Pages that a guess of their language kept from being read: no filter has seen them.
    unread = of(found, "extract")
    unseen = {document: after.pop(document) for document in after.keys() - before.keys()}
    assert unseen.keys() <= {sample.id for sample in unread.samples["newly_kept"]}
    assert before.keys() == after.keys()
    filtered = of(found, "filter")
    assert filtered.read_before == len(before)
    assert {(rule.rule, rule.failed_before, rule.failed_after) for rule in filtered.rules} == {
        (rule, n_before, n_after)
        for rule in {rule for reasons in [*before.values(), *after.values()] for rule in reasons}
        for n_before, n_after in [[sum(rule in reasons for reasons in side.values()) for side in (before, after)]]
    }
    newly_kept = {document for document in before if before[document] and not after[document]}
    newly_dropped = {document for document in before if after[document] and not before[document]}
    assert {sample.id for sample in filtered.samples["newly_kept"]} == newly_kept
    assert {sample.id for sample in filtered.samples["newly_dropped"]} == newly_dropped
    assert (filtered.newly_kept, filtered.newly_dropped) == (len(newly_kept), len(newly_dropped))
    assert filtered.kept_after.least == sum(not reasons for reasons in after.values())
    assert filtered.kept_after.most == filtered.kept_after.least + unread.newly_kept
    assert sum(not reasons for reasons in unseen.values()) <= unread.newly_kept
    for sample in filtered.samples["newly_kept"]:
        assert [reason.partition(":")[0] for reason in sample.before] == before[sample.id] and not sample.after
    for sample in filtered.samples["newly_dropped"]:
        assert [reason.partition(":")[0] for reason in sample.after] == after[sample.id] and not sample.before
    corpus, real = of(found, "corpus").kept_after, decisions(store, record, "corpus")
    assert corpus.least <= sum(not reasons for reasons in real.values()) <= corpus.most
    assert corpus.least <= corpus.likely <= corpus.most


LEXICON = "hate\t5\tVenlamor\nviolence\t3\tharbour\nviolence\t4\twinter\n"
CHECKS: dict[str, dict[str, Any]] = {
    "a larger share": {"quality": {"keep_top": 0.8}, "harm": {"violence": 2.0}, "finds": 1},
    "a smaller share": {"quality": {"keep_top": 0.2}, "harm": {"violence": 1.0, "hate": 0.5}, "finds": 0},
    "a score": {"quality": {"min_score": 0.6}, "harm": {}, "finds": None},
    "a share of fewer": {"quality": {"keep_top": 0.5}, "harm": {}, "finds": None, "filter": CHANGES["stricter"]},
}


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, RunRecord, Path]:
    """A run with every check of the corpus, and the folder of its lists."""
    folder = tmp_path_factory.mktemp("checked")
    (folder / "harm.tsv").write_text(LEXICON)
    (folder / "good.txt").write_text(
        "\n".join(f"A long and careful sentence about the river, number {n}." for n in range(40))
    )
    (folder / "bad.txt").write_text("\n".join(f"Buy cheap things now, the {n} best deals" for n in range(40)))
    record = crawl(folder / "store", with_checks(folder, **CHECKS["a share of fewer"], unfiltered=True))
    return Store(str(folder / "store")), record, folder


def with_checks(folder: Path, quality: Any, harm: Any, finds: Any, filter: Any = None, unfiltered: bool = False) -> Any:
    """Sections of a recipe: a classifier, a lexicon and personal data."""
    learnt = {"positive": [str(folder / "good.txt")], "negative": [str(folder / "bad.txt")], "bucket_bits": 12}
    return {
        "filter": {} if unfiltered or not filter else filter,
        "classifiers": {"quality": learnt | quality},
        "harm": {"lexicon": str(folder / "harm.tsv"), "thresholds": harm},
        "personal_data": {"max_per_document": finds},
    }


@pytest.mark.parametrize("name", CHECKS)
def test_rules_of_the_corpus_are_applied_again(
    checked: tuple[Store, RunRecord, Path], tmp_path: Path, name: str
) -> None:
    store, record, folder = checked
    sections = with_checks(folder, **CHECKS[name])
    found = what_if(store, Recipe.model_validate(RECIPE | sections), EVERY)
    other = Store(str(tmp_path))
    before, after = decisions(store, record, "corpus"), decisions(other, crawl(tmp_path, sections), "corpus")
    corpus = of(found, "corpus")
    assert after.keys() <= before.keys()
    newly_kept = {document for document in after if before[document] and not after[document]}
    newly_dropped = {document for document in after if after[document] and not before[document]}
    assert {sample.id for sample in corpus.samples["newly_kept"]} == newly_kept
    assert {sample.id for sample in corpus.samples["newly_dropped"]} == newly_dropped
    assert corpus.kept_after.least <= sum(not reasons for reasons in after.values()) <= corpus.kept_after.most
    if after.keys() == before.keys():
        assert corpus.kept_after.least == corpus.kept_after.most
    assert corpus.newly_kept or corpus.newly_dropped or not CHECKS[name]["harm"]


def test_an_address_refused_unread_is_only_a_maybe(tmp_path: Path) -> None:
    """Soft words: stricter drops what was read; laxer lets through what no stage has read."""
    words = tmp_path / "soft.txt"
    words.write_text("travel\nhtml\nweekend\nabout\n")
    record = crawl(tmp_path / "store", _refusing(words, 2))
    store = Store(str(tmp_path / "store"))
    before = decisions(store, record, "extract")
    refused = {document for document, reasons in before.items() if reasons == ["url_soft_words"]}
    assert refused
    laxer = what_if(store, Recipe.model_validate(RECIPE | _refusing(words, 3)), EVERY)
    extract = of(laxer, "extract")
    released = {sample.id for sample in extract.samples["newly_kept"]}
    after = decisions(Store(str(tmp_path / "lax")), crawl(tmp_path / "lax", _refusing(words, 3)), "extract")
    assert released == {document for document in refused if "url_soft_words" not in after[document]}
    assert extract.kept_after.least <= sum(not reasons for reasons in after.values()) <= extract.kept_after.most
    assert any("refused unread" in note for note in laxer.notes)
    stricter = what_if(store, Recipe.model_validate(RECIPE | _refusing(words, 1)), EVERY)
    after = decisions(Store(str(tmp_path / "strict")), crawl(tmp_path / "strict", _refusing(words, 1)), "extract")
    assert of(stricter, "extract").kept_after.least == sum(not reasons for reasons in after.values())
    assert of(stricter, "filter").read_after.least == of(stricter, "extract").kept_after.least


def _refusing(words: Path, least: int) -> dict[str, Any]:
    return {"extract": {"drop_seen": False, "urls": {"soft_words": [str(words)], "min_soft_words": least}}}


def test_what_the_run_did_not_measure_is_named(crawled: tuple[Store, RunRecord]) -> None:
    asked = Recipe.model_validate(RECIPE | {"harm": {"thresholds": {"hate": 1.0}}})
    found = what_if(crawled[0], asked)
    assert any("did not measure what corpus needs for harm_hate" in note for note in found.notes)
    assert of(found, "corpus").kept_after.least == of(found, "corpus").kept_before


def test_languages_and_domains_count_those_that_change_sides(crawled: tuple[Store, RunRecord]) -> None:
    found = what_if(crawled[0], recipe(**CHANGES["both ways"]), EVERY)
    filtered = of(found, "filter")
    assert filtered.newly_kept and filtered.newly_dropped
    for count in ("newly_kept", "newly_dropped"):
        total = getattr(filtered, count)
        assert sum(getattr(language, count) for language in filtered.languages) == total
        hosts = [sample.url.split("/")[2].removeprefix("www.") for sample in filtered.samples[count]]
        for domain in filtered.domains:
            assert getattr(domain, count) == hosts.count(domain.domain)
    assert sum(language.kept_before for language in filtered.languages) == filtered.kept_before
    assert sum(language.kept_after for language in filtered.languages) == filtered.kept_after.least


def test_samples_are_few_and_always_the_same(crawled: tuple[Store, RunRecord]) -> None:
    twice = [of(what_if(crawled[0], recipe(**CHANGES["stricter"]), 3), "filter").samples for _ in range(2)]
    assert twice[0] == twice[1]
    assert len(twice[0]["newly_dropped"]) == 3
    assert all(sample.after[0].endswith("< 62") for sample in twice[0]["newly_dropped"])


def test_an_unchanged_recipe_changes_nothing(crawled: tuple[Store, RunRecord]) -> None:
    found = what_if(crawled[0], recipe())
    assert not found.changes and not found.needs_run
    for stage in found.stages:
        assert not stage.changes
        assert stage.kept_after.least == stage.kept_after.most == stage.kept_before
        assert all(rule.failed_before == rule.failed_after for rule in stage.rules)


def test_a_field_that_no_rule_reads_needs_a_new_run(crawled: tuple[Store, RunRecord]) -> None:
    asked = Recipe.model_validate(
        RECIPE | {"extract": {"max_page_seconds": 3.0}, "duplicates": {"minimum_similarity": 0.5}}
    )
    fields = [(change.stage, change.field) for change in what_if(crawled[0], asked).needs_run]
    assert ("extract", "max_page_seconds") in fields
    assert ("candidates", "minimum_similarity") in fields


def test_a_new_threshold_is_shown_beside_the_published_one(crawled: tuple[Store, RunRecord]) -> None:
    change = what_if(crawled[0], recipe(**CHANGES["stricter"])).changes[0]
    assert (change.field, change.before, change.after) == ("thresholds.gopher_min_words", 50, 62)


def test_nothing_is_written_to_the_store(copied: tuple[Store, RunRecord]) -> None:
    files = {path: path.stat().st_mtime_ns for path in Path(copied[0].root).rglob("*")}
    what_if(copied[0], recipe(**CHANGES["laxer"]))
    assert {path: path.stat().st_mtime_ns for path in Path(copied[0].root).rglob("*")} == files


def test_a_run_without_duplicates_yet_ends_at_the_filter(copied: tuple[Store, RunRecord]) -> None:
    store = copied[0]
    shutil.rmtree(Path(store.root) / "decisions" / "corpus")
    found = what_if(store, recipe(**CHANGES["stricter"]))
    assert [stage.stage for stage in found.stages] == ["extract", "filter"]
    assert any("ends with the filter" in note for note in found.notes)


def test_a_store_without_a_run_says_so(tmp_path: Path, crawled: tuple[Store, RunRecord]) -> None:
    with pytest.raises(PermanentError, match="holds no run yet"):
        what_if(Store(str(tmp_path)), recipe())
    Store(str(tmp_path)).write_bytes(f"runs/{crawled[1].run}.json", crawled[1].model_dump_json().encode())
    with pytest.raises(PermanentError, match="has come as far as the filter"):
        what_if(Store(str(tmp_path)), recipe())


def _rewrite(store: Store, record: RunRecord, stage: str, change: Any) -> None:
    folder = Path(store.root) / decisions_folder(stage, record.stages[stage].plan.fingerprint)
    for part in folder.iterdir():
        pq.write_table(change(pq.read_table(part)), part)


def test_decisions_without_a_signal_are_refused_by_name(copied: tuple[Store, RunRecord]) -> None:
    store, record = copied
    _rewrite(store, record, "filter", lambda table: table.drop_columns("words"))
    assert what_if(store, recipe()).stages
    with pytest.raises(
        PermanentError, match=r"gopher_min_words needs the signal words, which the decisions in .* do not"
    ):
        what_if(store, recipe(**CHANGES["stricter"]))


def test_decisions_of_another_version_are_made_again_from_their_signals_alone(copied: tuple[Store, RunRecord]) -> None:
    store, record = copied
    path = f"runs/{record.run}.json"
    saved = json.loads(store.read_bytes(path))
    saved["stages"]["filter"]["plan"]["version"] = 0
    store.write_bytes(path, json.dumps(saved).encode())
    nonsense = pa.array([["a_rule_of_old"]], pa.list_(pa.string()))
    _rewrite(
        store,
        record,
        "filter",
        lambda table: table.set_column(3, "reasons", pa.concat_arrays([nonsense] * table.num_rows)),
    )
    found = what_if(store, recipe())
    assert of(found, "filter").kept_after.least == of(found, "filter").kept_before
    assert any("version 0" in note for note in found.notes)


def test_parts_that_do_not_belong_together_are_refused(copied: tuple[Store, RunRecord]) -> None:
    store, record = copied
    _rewrite(store, record, "filter", lambda table: table.slice(1))
    with pytest.raises(PermanentError, match="but the stage before kept"):
        what_if(store, recipe())


def test_a_damaged_part_is_named(copied: tuple[Store, RunRecord]) -> None:
    store, record = copied
    folder = decisions_folder("filter", record.stages["filter"].plan.fingerprint)
    store.write_bytes(f"{folder}/part-00001.parquet", b"not parquet")
    with pytest.raises(PermanentError, match=r"part-00001.parquet cannot be read"):
        what_if(store, recipe())


def test_the_newest_filtered_run_is_taken(copied: tuple[Store, RunRecord]) -> None:
    store, record = copied
    later = record.model_copy(update={"run": "99990101T000000.000000-tiny", "stages": {}})
    store.write_bytes(f"runs/{later.run}.json", later.model_dump_json().encode())
    assert latest_run(store).run == later.run
    assert what_if(store, recipe()).run == record.run


def _shown(found: WhatIf) -> str:
    console = Console(file=StringIO(), width=150, force_terminal=True, color_system="truecolor")
    print_what_if(console, found)
    output: str = console.file.getvalue()  # type: ignore[attr-defined]
    return output


def test_hostile_addresses_stay_text_on_a_terminal(copied: tuple[Store, RunRecord]) -> None:
    store, record = copied
    attack = "https://evil\x1b[2J.example/[red]x\u202e/" + "y" * 5000

    def attacked(table: pa.Table) -> pa.Table:
        return table.set_column(
            table.schema.get_field_index("url"), "url", pa.array([attack] * table.num_rows, pa.string())
        )

    _rewrite(store, record, "extract", attacked)
    shown = _shown(what_if(store, recipe(**CHANGES["stricter"])))
    assert "\x1b[2J" not in shown and "\u202e" not in shown
    assert "[red]x" in shown and "y" * 200 not in shown


def _sluice(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """The command line in this process; its exit code."""
    monkeypatch.setattr("sys.argv", ["sluice", *arguments])
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def test_the_command_shows_both_funnels(
    crawled: tuple[Store, RunRecord],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "tiny.yaml"
    path.write_text(json.dumps(RECIPE))
    arguments = ["what-if", str(path), "--store", crawled[0].root, "--set", "filter.thresholds.gopher_min_words=62"]
    assert _sluice(monkeypatch, *arguments) == 0
    shown = capsys.readouterr().out
    assert "filter.thresholds.gopher_min_words: 50 → 62" in shown and "newly dropped" in shown
    assert _sluice(monkeypatch, *arguments, "--json", "--samples", "1") == 0
    found = WhatIf.model_validate_json(capsys.readouterr().out)
    assert found.stages == what_if(crawled[0], recipe(**CHANGES["stricter"]), 1).stages


def test_the_command_refuses_an_unknown_rule_and_an_empty_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _sluice(monkeypatch, "what-if", "demo", "--set", "filter.thresholds.gopher_min_word=1") == 2
    assert 'the nearest name is "gopher_min_words"' in capsys.readouterr().err
    assert _sluice(monkeypatch, "what-if", "demo", "--store", str(tmp_path / "none")) == 1
    assert "holds no run yet" in capsys.readouterr().err


def test_another_way_to_measure_is_refused(crawled: tuple[Store, RunRecord], tmp_path: Path) -> None:
    words = tmp_path / "stop.yaml"
    words.write_text("en: [the, of]\n")
    with pytest.raises(UsageError, match=r"filter\.stop_words decides what is measured"):
        what_if(crawled[0], recipe(stop_words=str(words)))


def test_a_run_of_a_recipe_that_is_no_longer_understood_says_so(copied: tuple[Store, RunRecord]) -> None:
    store, record = copied
    path = f"runs/{record.run}.json"
    saved = json.loads(store.read_bytes(path))
    saved["stages"]["filter"]["plan"]["config"]["a_field_of_old"] = 1
    store.write_bytes(path, json.dumps(saved).encode())
    with pytest.raises(PermanentError, match=r"(?s)does not understand: .*a_field_of_old.* Run the recipe again"):
        what_if(store, recipe())
