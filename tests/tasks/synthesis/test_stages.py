"""The stages of synthetic data: what they make, where it comes from, what is dropped and why, and what is paid for."""

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from tasks.base.errors import PermanentError, TemporaryError
from tasks.dataset.manifest import write_manifest
from tasks.dataset.store import Store
from tasks.tokenize.mixture import OtherCorpus
from tasks.tokenize.other_corpora import corpus_documents, corpus_name, finished_corpus
from tests.conftest import ROOT
from tests.tasks.synthesis.endpoint_server import Endpoint, endpoint
from tests.tasks.synthesis.synthesis_jobs import built, job, text_of, write_corpus, write_prompts


def slow(number: int, body: dict[str, Any]) -> str:
    """Answer after a while."""
    time.sleep(0.03)
    return "ok"


REPHRASE: dict[str, Any] = {"rephrase": {"formats_per_document": 2}}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    """An endpoint that answers everything."""
    with endpoint() as running:
        monkeypatch.setenv("SLUICE_GENERATOR_URL", running.url)
        yield running


def test_documents_are_rephrased_in_formats_with_their_provenance(server: Endpoint, tmp_path: Path) -> None:
    store = write_corpus(tmp_path)
    rows, decisions, footer = built(store, job(store, "rephrased", REPHRASE))
    assert len(rows) == len(decisions) == 12, "six documents of this part in two formats each"
    assert Counter(row["format"] for row in rows).keys() <= {"faq", "math", "table", "tutorial"}
    for row in rows:
        source, name = row["id"].split("#")
        assert (row["source_ids"], row["format"], row["generator"], row["seed"]) == ([source], name, "sluice", 1)
        assert row["prompt_version"].startswith(f"{name}@") and row["text"].startswith("Reply 1 of the model")
        assert row["text_hash"] != "0" * 32 and row["language"] == "en"
    assert footer.counters["requests"] == server.asked == 12
    assert (footer.counters["prompt_tokens"], footer.counters["reply_tokens"]) == (240, 120)
    assert server.most_at_once <= 4


def test_a_share_of_the_documents_is_drawn_by_their_ids(server: Endpoint, tmp_path: Path) -> None:
    store = write_corpus(tmp_path, documents=200, parts=1)
    rows, _, _ = built(store, job(store, "rephrased", {"rephrase": {"share": 0.25}}))
    assert 30 < len(rows) < 70
    more, _, _ = built(store, job(store, "rephrased", {"rephrase": {"share": 0.5}}))
    assert {row["id"] for row in rows} <= {row["id"] for row in more}
    assert server.asked == len(more), "what was asked for a smaller share is not asked again"


def test_documents_become_answers_to_instructions_and_a_score_keeps_the_best(server: Endpoint, tmp_path: Path) -> None:
    store = write_corpus(tmp_path)
    rows, decisions, footer = built(store, job(store, "backtranslated", {"backtranslate": {"min_score": 5}}))
    assert {row["id"] for row in rows} == {id for id, decided in decisions.items() if decided["kept"]}
    assert all([turn["role"] for turn in row["messages"]] == ["user", "assistant"] for row in rows)
    assert all(row["messages"][1]["content"] == text_of(int(row["id"].split(":")[1])) for row in rows)
    assert all(row["score"] == 5 for row in rows)
    dropped = [decided["reasons"] for decided in decisions.values() if not decided["kept"]]
    assert dropped == [["low_score"]] * footer.counters["removed.low_score"]
    assert len(rows) + len(dropped) == 6 and server.asked == 12


def test_an_instruction_that_another_document_has_is_dropped(tmp_path: Path, monkeypatch: Any) -> None:
    store = write_corpus(tmp_path, parts=1)
    with endpoint(lambda number, body: "same") as server:
        monkeypatch.setenv("SLUICE_GENERATOR_URL", server.url)
        rows, _, footer = built(store, job(store, "backtranslated", {"backtranslate": {"min_score": 1}}))
    assert len(rows) == 1 and footer.counters["removed.repeated_instruction"] == 11


def test_prompts_are_answered_and_the_best_and_worst_response_become_a_pair(server: Endpoint, tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    prompts = write_prompts(tmp_path / "prompts.jsonl", [f"Question {n}?" for n in range(5)] + ["Question 0?"])
    section = {"responses": {"prompts": prompts, "samples": 3}, "pairs": {}}
    part = job(store, "responses", section)
    rows, _, footer = built(store, part)
    assert len(rows) == 15, "an equal prompt is there once"
    assert {row["seed"] for row in rows} == {1, 2, 3}
    write_manifest(store, "responses", part.fingerprint, 1, {}, {}, [footer])
    pairs, decisions, _ = built(store, job(store, "preference_pairs", section, responses=part.fingerprint))
    assert len(decisions) == 5
    for pair in pairs:
        assert pair["prompt"][0]["content"].startswith("Question") and pair["chosen"] != pair["rejected"]
        assert pair["margin"] >= 1 and len(pair["source_ids"]) == 2
    assert all(decided["kept"] or decided["reasons"] == ["small_margin"] for decided in decisions.values())


def test_each_part_reads_its_own_prompts(server: Endpoint, tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    prompts = write_prompts(tmp_path / "prompts.jsonl", [f"Question {n}?" for n in range(4)] * 2 + ["Question 4?"])
    section = {"responses": {"prompts": prompts, "prompts_per_part": 2}, "requests": {"max_requests": 5}}
    parts = [job(store, "responses", section, index) for index in range(3)]
    Path(prompts).unlink()
    asked = [[row["messages"][0]["content"] for row in built(store, part)[0]] for part in parts]
    assert asked == [["Question 0?", "Question 1?"], ["Question 2?", "Question 3?"], ["Question 4?"]]


def test_a_prompt_ends_at_a_line_feed_and_may_hold_any_other_mark(server: Endpoint, tmp_path: Path) -> None:
    prompts = [f"one{mark}two" for mark in ("\u2028", "\u2029", "\u0085", "\x0c", "\x1e")]
    lines = [json.dumps({"prompt": prompt}, ensure_ascii=False) for prompt in prompts]
    file = tmp_path / "prompts.jsonl"
    file.write_bytes(b"\xef\xbb\xbf" + "\r\n".join([*lines, '{"prompt": "half \\ud83d"}', "", ""]).encode())
    store = Store(str(tmp_path))
    rows, _, _ = built(store, job(store, "responses", {"responses": {"prompts": str(file)}}))
    assert [row["messages"][0]["content"] for row in rows] == [*prompts, "half \ufffd"]
    file.write_bytes(lines[0].encode() + b'\n{"prompt": "caf\xe9"}\n')
    with pytest.raises(PermanentError, match="line 2: a prompt looks like"):
        job(store, "responses", {"responses": {"prompts": str(file)}})


def test_another_endpoint_answers_anew_and_the_same_one_does_not(tmp_path: Path, monkeypatch: Any) -> None:
    store = write_corpus(tmp_path, parts=1)
    part = job(store, "rephrased", {"rephrase": {}})
    with endpoint() as one, endpoint() as other:
        for server in (one, other, one):
            monkeypatch.setenv("SLUICE_GENERATOR_URL", server.url)
            built(store, part)
            store.remove(part.path)
    assert (one.asked, other.asked) == (12, 12)


def test_a_function_of_ones_own_judges(server: Endpoint, tmp_path: Path) -> None:
    (tmp_path / "judge.py").write_text("def by_seed(prompt, response):\n    return int(response.split()[1])\n")
    store = Store(str(tmp_path))
    prompts = write_prompts(tmp_path / "prompts.jsonl", ["What is a bridge?"])
    judge = f"{tmp_path}/judge.py:by_seed\n{(tmp_path / 'judge.py').read_text()}"
    section = {"responses": {"prompts": prompts, "samples": 3}, "pairs": {"judge": judge}}
    part = job(store, "responses", section)
    write_manifest(store, "responses", part.fingerprint, 1, {}, {}, [built(store, part)[2]])
    asked = server.asked
    ((pair,), _, _) = built(store, job(store, "preference_pairs", section, responses=part.fingerprint))
    assert pair["chosen"].startswith("Reply 3") and pair["rejected"].startswith("Reply 1")
    assert pair["margin"] == 2 and server.asked == asked


def test_each_fault_is_a_reason_or_another_try_and_the_rest_is_kept(tmp_path: Path, monkeypatch: Any) -> None:
    faults = ["429", "500", "garbage", "half", "nothing"]
    store = write_corpus(tmp_path, parts=1)
    with endpoint(
        lambda number, body: "400" if "number 3 " in str(body) else (faults * 2 + ["ok"] * 99)[number]
    ) as one:
        monkeypatch.setenv("SLUICE_GENERATOR_URL", one.url)
        rows, decisions, footer = built(store, job(store, "rephrased", {"rephrase": {}, "requests": {"attempts": 12}}))
    assert len(rows) == 11 and footer.counters["removed.refused"] == 1
    (refused,) = [decided for decided in decisions.values() if not decided["kept"]]
    assert refused["id"].startswith("W:3#") and refused["reasons"] == ["refused"]
    assert set(one.paid.values()) == {1}


def test_after_a_failure_nothing_that_was_answered_is_asked_again(tmp_path: Path, monkeypatch: Any) -> None:
    store = write_corpus(tmp_path, documents=40, parts=1)
    part = job(store, "rephrased", REPHRASE)
    with endpoint(lambda number, body: "ok" if number < 20 or number >= 40 else "500") as server:
        monkeypatch.setenv("SLUICE_GENERATOR_URL", server.url)
        for _ in range(20):
            try:
                rows, _, footer = built(store, part)
                break
            except TemporaryError:
                assert not store.exists(part.path)
    assert len(rows) == 80 and footer.counters["requests_from_cache"] >= 20
    assert set(server.paid.values()) == {1} and len(server.paid) == 80


def test_after_a_kill_only_what_was_on_its_way_is_sent_again(tmp_path: Path, monkeypatch: Any) -> None:
    store = write_corpus(tmp_path, documents=40, parts=1)
    part = job(store, "rephrased", REPHRASE)
    code = (
        "import json, sys; from tasks.dataset.stage import PartJob; from tasks.part_runner import run_part; "
        "run_part(PartJob(**json.loads(sys.argv[1])))"
    )
    with endpoint(slow) as server:
        monkeypatch.setenv("SLUICE_GENERATOR_URL", server.url)
        process = subprocess.Popen([sys.executable, "-c", code, json.dumps(asdict(part))], cwd=ROOT)
        while server.asked < 25 and process.poll() is None:
            time.sleep(0.01)
        process.kill()
        process.wait()
        assert not store.exists(part.path)
        rows, _, footer = built(store, part)
    assert len(rows) == 80 and footer.counters["requests_from_cache"] >= 20
    assert sum(server.paid.values()) - 80 <= 4, "at most those that were on their way"
    assert len(server.idempotency_keys) == 80, "and those have the same key, so that an endpoint may know them"


@pytest.mark.parametrize(
    ("requests", "most"), [({"max_requests": 7}, 7), ({"max_requests": 1}, 1), ({"max_tokens": 2000}, 12)]
)
def test_a_budget_is_kept_to_and_raising_it_goes_on(
    server: Endpoint, tmp_path: Path, requests: dict[str, int], most: int
) -> None:
    store = write_corpus(tmp_path)
    parts = [job(store, "rephrased", REPHRASE | {"requests": requests}, index) for index in range(2)]
    for part in parts:
        with pytest.raises(PermanentError, match="The budget is spent"):
            built(store, part)
    assert 0 < server.asked <= most
    assert server.asked * 30 <= requests.get("max_tokens", 1 << 30)
    for index in range(2):
        built(store, job(store, "rephrased", REPHRASE, index))
    assert server.asked == 24 and set(server.paid.values()) == {1}


def test_a_mixture_takes_rephrased_documents_which_are_held_out_with_theirs(server: Endpoint, tmp_path: Path) -> None:
    store = write_corpus(tmp_path, parts=1)
    part = job(store, "rephrased", REPHRASE)
    rows, _, footer = built(store, part)
    write_manifest(store, "rephrased", part.fingerprint, 1, {}, {"corpus": "c" * 16}, [footer])
    other = OtherCorpus(corpus="c" * 16, dataset="rephrased").model_copy(update={"corpus": part.fingerprint})
    tables = corpus_documents(store, str(corpus_name(other)), 0, ["id", "text", "text_hash"])
    read = [row for table in tables for row in table.to_pylist()]
    assert [(row["id"], row["text"]) for row in read] == [(row["id"], row["text"]) for row in rows]
    assert {row["text_hash"] for row in read} == {"0" * 32}, "that of the document, by which the split is made"
    with pytest.raises(PermanentError, match="no finished corpus rephrased/"):
        finished_corpus("new", store, "rephrased/" + "d" * 16)
