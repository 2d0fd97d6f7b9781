"""The assistant's conversations: who it is, its system prompts, its tools; and the questions that none of them has."""

import json
from pathlib import Path
from typing import Any

import pytest

from model.data.conversations import read_conversations
from model.evaluation.questions import read_questions
from model.tools.calculator import CALCULATOR, calculate
from model.tools.search import SEARCH
from model.tools.tool import ToolError
from tasks.conversations.config import AssistantConfig
from tasks.conversations.files import write_assistant_chat, write_assistant_questions

ASSISTANT = AssistantConfig(name="Ada", maker="the Brook Society", tools=("calculator", "search"))
DEFINITIONS = {tool.name: tool.definition for tool in (CALCULATOR, SEARCH)}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The conversations and the questions."""
    folder = tmp_path_factory.mktemp("assistant")
    write_assistant_chat(folder / "chat.jsonl", ASSISTANT, DEFINITIONS)
    write_assistant_questions(folder / "questions.jsonl", ASSISTANT)
    return folder / "chat.jsonl", folder / "questions.jsonl"


def rows(path: Path, kind: str = "") -> list[dict[str, Any]]:
    """The rows of a file whose id begins with `kind`."""
    found: list[dict[str, Any]] = [json.loads(line) for line in path.read_text().splitlines()]
    return [row for row in found if row["id"].startswith(kind)]


def contents(row: dict[str, Any], role: str) -> list[str]:
    """What one role says."""
    return [message["content"] for message in row["messages"] if message["role"] == role]


def test_finetuning_and_evaluation_read_them(files: tuple[Path, Path]) -> None:
    assert len(read_conversations(files[0])) == len(rows(files[0])) == len({row["id"] for row in rows(files[0])})
    groups = {question.group for question in read_questions(files[1])}
    assert groups == {"identity", "system_prompt", "persona", "calculator"}


def test_the_assistant_says_who_it_is(files: tuple[Path, Path]) -> None:
    assert all("Ada" in contents(row, "assistant")[0] for row in rows(files[0], "identity/name"))
    assert all("the Brook Society" in contents(row, "assistant")[0] for row in rows(files[0], "identity/maker"))


def test_a_system_prompt_decides_the_answer(files: tuple[Path, Path]) -> None:
    for row in rows(files[0], "system"):
        system, answer = contents(row, "system")[0], contents(row, "assistant")[0]
        shared = {word for word in answer.replace(",", " ").replace(".", " ").split() if word[0].isupper()} - {"I"}
        assert any(word in system for word in shared), row


def test_no_phrasing_or_name_of_the_evaluation_is_trained_on(files: tuple[Path, Path]) -> None:
    asked = {question for row in rows(files[0]) for question in contents(row, "user")}
    prompts = " ".join(prompt for row in rows(files[0]) for prompt in contents(row, "system"))
    for row in rows(files[1]):
        assert row["question"] not in asked
        if row["group"] == "persona":
            assert row["answer"] not in prompts


def test_each_call_of_the_calculator_has_the_result_that_the_tool_gives(files: tuple[Path, Path]) -> None:
    counts = set()
    for row in rows(files[0], "calculator"):
        calls = [turn["tool_calls"][0]["function"] for turn in row["messages"] if "tool_calls" in turn]
        for call, result in zip(calls, contents(row, "tool"), strict=True):
            try:
                assert calculate(**json.loads(call["arguments"])) == result
            except ToolError as error:
                assert result == f"error: {error}"
        counts.add(len(calls))
    assert counts == {1, 2, 3, 4}, "questions in a conversation"


def test_the_answer_to_a_search_stands_in_its_result(files: tuple[Path, Path]) -> None:
    for row in rows(files[0], "search"):
        answers = contents(row, "assistant")[1::2]
        for result, answer in zip(contents(row, "tool"), answers, strict=True):
            assert answer in result or (result == "error: nothing was found" and answer.startswith("I found nothing"))


def test_the_same_lines_give_the_same_bytes(files: tuple[Path, Path], tmp_path: Path) -> None:
    write_assistant_chat(tmp_path / "again.jsonl", ASSISTANT, DEFINITIONS)
    assert (tmp_path / "again.jsonl").read_bytes() == files[0].read_bytes()


def test_an_assistant_without_tools_is_taught_none(tmp_path: Path) -> None:
    plain = AssistantConfig()
    write_assistant_chat(tmp_path / "chat.jsonl", plain, DEFINITIONS)
    write_assistant_questions(tmp_path / "questions.jsonl", plain)
    assert not any("tools" in row for row in rows(tmp_path / "chat.jsonl"))
    assert {row["group"] for row in rows(tmp_path / "questions.jsonl")} == {"identity", "system_prompt", "persona"}
