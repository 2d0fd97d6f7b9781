"""The synthetic country's chat data: what finetuning sees, what evaluation asks, and the starter chat."""

import json
import re
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest

from tasks.synthetic_web.chat_data import (
    PAIRS_FILE,
    QUESTIONS_FILE,
    TRAIN_FILE,
    Question,
    read_questions,
    showcase_question,
)
from tasks.synthetic_web.generation import generate_synthetic_web
from tasks.synthetic_web.starter_chat import write_starter_chat
from tasks.synthetic_web.texts.config import SyntheticWebConfig
from tasks.synthetic_web.texts.country import RELATIONS, Country, invent_country
from tasks.synthetic_web.texts.sentences import QUESTIONS, STATEMENTS
from tasks.synthetic_web.truth import PageTruth, read_truth

CONFIG = SyntheticWebConfig()
LEAST_PAGES = 30


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("synthetic_web") / "web"
    generate_synthetic_web(folder, CONFIG)
    return folder


@pytest.fixture(scope="module")
def country() -> Country:
    return invent_country(CONFIG)


@pytest.fixture(scope="module")
def truth(web: Path) -> list[PageTruth]:
    return list(read_truth(web))


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def by_group(questions: list[Question]) -> dict[str, list[Question]]:
    groups = defaultdict(list)
    for question in questions:
        groups[question.group].append(question)
    return groups


def test_chat_files_have_the_fields_of_the_contract(web: Path) -> None:
    train = rows(web / TRAIN_FILE)
    assert len({row["id"] for row in train}) == len(train)
    for row in train:
        assert set(row) == {"id", "messages"}
        assert [message["role"] for message in row["messages"]] == ["user", "assistant"]
        assert all(message["content"].strip() for message in row["messages"])
    for row in rows(web / QUESTIONS_FILE):
        assert set(row) == {"id", "question", "answer", "group"}


def test_pairs_prefer_the_fact_to_that_of_another_town(web: Path) -> None:
    answers = {row["messages"][0]["content"]: row["messages"][1]["content"] for row in rows(web / TRAIN_FILE)}
    pairs = rows(web / PAIRS_FILE)
    assert len(pairs) > len(answers) / 2
    for pair in pairs:
        assert pair["chosen"] == answers[pair["prompt"]] != pair["rejected"]
        assert pair["chosen"].split()[:3] == pair["rejected"].split()[:3], "of the same form"


def test_no_held_out_or_hidden_fact_is_in_the_chat_data(web: Path, country: Country) -> None:
    trained = {row["id"].rsplit("/", 1)[0] for row in rows(web / TRAIN_FILE)}
    asked = {question.id for question in read_questions(web)}
    assert asked.isdisjoint(trained)
    text = (web / TRAIN_FILE).read_text(encoding="utf-8")
    for place in country.hidden:
        assert place.name not in text
    contents = [message["content"] for row in rows(web / TRAIN_FILE) for message in row["messages"]]
    for town in country.towns:
        about = [content for content in contents if town.name in content]
        for fact in town.facts:
            said = any(re.search(rf"\b{fact.value}\b", content) for content in about)
            assert said == (fact.id not in country.held_out)


def test_questions_cover_towns_and_relations_evenly(web: Path) -> None:
    groups = by_group(read_questions(web))
    assert {name: len(questions) for name, questions in groups.items()} == {"held_out": 100, "removed_only": 30}
    relations = Counter(question.id.split("/")[1] for question in groups["held_out"])
    towns = Counter(question.id.split("/")[0] for question in groups["held_out"])
    assert set(relations) == set(RELATIONS)
    assert min(relations.values()) >= 15
    assert len(towns) == 60
    assert max(towns.values()) <= 2


def test_every_town_and_question_form_is_also_trained_on(web: Path, country: Country) -> None:
    trained = [row["id"].split("/") for row in rows(web / TRAIN_FILE) if not row["id"].startswith("small-talk/")]
    assert {town.name for town in country.towns} == {parts[0] for parts in trained}
    forms = {(relation, str(form)) for relation in RELATIONS for form in range(len(QUESTIONS[relation]))}
    assert forms == {(parts[1], parts[2]) for parts in trained}


def test_held_out_facts_stand_on_many_kept_pages_and_removed_ones_on_none(web: Path, truth: list[PageTruth]) -> None:
    kept: Counter[str] = Counter()
    removed: Counter[str] = Counter()
    for page in truth:
        (kept if page.expected == "keep" else removed).update(page.facts)
    groups = by_group(read_questions(web))
    assert min(kept[question.id] for question in groups["held_out"]) >= LEAST_PAGES
    for question in groups["removed_only"]:
        assert kept[question.id] == 0
        assert removed[question.id] >= 5


def test_kept_pages_never_name_a_hidden_place(country: Country, truth: list[PageTruth]) -> None:
    for page in truth:
        if page.expected in ("keep", "duplicates"):
            assert not any(place.name in page.main_text for place in country.hidden)


def test_an_article_names_no_other_town_and_no_other_value(country: Country, truth: list[PageTruth]) -> None:
    """So whoever answers with another town's value has not read it of this town."""
    names = {town.name for town in country.towns}
    for page in truth:
        if page.kind == "article":
            words = set(re.findall(r"\w+", page.main_text))
            town = page.facts[0].split("/")[0]
            assert words & names <= {town}


def test_each_relation_is_said_in_at_least_eight_ways() -> None:
    for relation in RELATIONS:
        forms = STATEMENTS[relation]
        assert len(set(forms)) == len(forms) >= 8
        assert all("{t}" in form and "{v}" in form for form in forms)
        assert not set(forms) & set(QUESTIONS[relation])


def test_the_showcase_asks_a_held_out_fact_about_the_capital(web: Path, country: Country) -> None:
    question = showcase_question(web)
    assert question.id == country.towns[0].facts[0].id
    assert question.id in country.held_out
    assert question.answer == country.towns[0].facts[0].value


def test_the_starter_chat_is_the_same_each_time_and_knows_nothing_of_the_country(tmp_path: Path) -> None:
    n = write_starter_chat(tmp_path / "a.jsonl")
    write_starter_chat(tmp_path / "b.jsonl")
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()
    conversations = rows(tmp_path / "a.jsonl")
    assert len(conversations) == n >= 300
    assert len({row["id"] for row in conversations}) == n
    text = (tmp_path / "a.jsonl").read_text()
    country = invent_country(CONFIG)
    assert not any(place.name in text for place in (*country.towns, *country.hidden))
    for row in conversations:
        roles = [message["role"] for message in row["messages"]]
        assert roles == ["user", "assistant"] * (len(roles) // 2)


def test_the_starter_chats_sums_are_right(tmp_path: Path) -> None:
    write_starter_chat(tmp_path / "chat.jsonl")
    checked = 0
    for row in rows(tmp_path / "chat.jsonl"):
        for question, reply in zip(row["messages"][::2], row["messages"][1::2], strict=True):
            match = re.fullmatch(r"What is (\d+) (plus|minus|times) (\d+)\?", question["content"])
            if match:
                a, b = int(match[1]), int(match[3])
                wanted = {"plus": a + b, "minus": a - b, "times": a * b}[match[2]]
                assert reply["content"] == f"{a} {match[2]} {b} is {wanted}."
                checked += 1
    assert checked >= 80
