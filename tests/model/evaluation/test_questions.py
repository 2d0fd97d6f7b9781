"""How replies are checked."""

from pathlib import Path

import pytest

from model.base.errors import BadInput
from model.evaluation.answer_check import answers
from model.evaluation.questions import accuracy_by_group, read_questions
from model.evaluation.results import Reply
from model.tools.calculator import CALCULATOR


@pytest.mark.parametrize(
    ("reply", "answer", "right"),
    [
        ("The mayor is Anna Bek.", "anna bek", True),
        ("The mayor is Annabek.", "Anna Bek", False),
        ("Founded in 1890.", "1890", True),
        ("Founded in 18901.", "1890", False),
        ("It sells sea-salt!", "Sea salt", True),
        ("ＳＡＬＴ", "salt", True),
        ("Bek Anna", "Anna Bek", False),
        ("anything", "?", False),
        ("", "salt", False),
    ],
)
def test_the_reply_must_contain_the_answer_as_whole_words(reply: str, answer: str, right: bool) -> None:
    assert answers(reply, answer) is right


def test_accuracy_is_counted_by_group() -> None:
    replies = [
        Reply(str(at), group, "", "", "", right)
        for at, (group, right) in enumerate([("b", True), ("a", False), ("b", False)])
    ]
    assert accuracy_by_group(replies) == {
        "a": {"accuracy": 0.0, "right": 0, "n": 1},
        "b": {"accuracy": 0.5, "right": 1, "n": 2},
    }


def test_a_question_without_an_answer_is_named(tmp_path: Path) -> None:
    path = tmp_path / "questions.jsonl"
    path.write_text('{"id": 1, "question": "?", "answer": "x", "group": "g"}\n{"id": 2, "question": "?"}\n')
    with pytest.raises(BadInput, match="line 2: needs id, question, answer and group"):
        read_questions(path)
    path.write_text("\n")
    with pytest.raises(BadInput, match="holds no questions"):
        read_questions(path)


def test_a_question_may_have_a_system_prompt_and_tools(tmp_path: Path) -> None:
    path = tmp_path / "questions.jsonl"
    path.write_text(
        '{"id": 1, "question": "2+2?", "answer": 4, "group": "g", "system": "Be short.", "tools": true}\n'
        '{"id": 2, "question": "2+2?", "answer": 4, "group": "g"}\n'
    )
    with_all, plain = read_questions(path)
    scene, asked = with_all.messages([CALCULATOR.definition])
    assert scene.role == "system" and scene.content.startswith("Be short.\n\n") and "calculator" in scene.content
    assert plain.messages([CALCULATOR.definition]) == [asked]
    path.write_text('{"id": 1, "question": "?", "answer": 4, "group": "g", "tools": "calculator"}\n')
    with pytest.raises(BadInput, match=r"line 1: .*tools true or false"):
        read_questions(path)


@pytest.mark.parametrize("answer", ["null", '["salt"]', "{}"])
def test_an_answer_that_is_no_text_is_named(tmp_path: Path, answer: str) -> None:
    path = tmp_path / "questions.jsonl"
    path.write_text(f'{{"id": 1, "question": "?", "answer": {answer}, "group": "g"}}\n')
    with pytest.raises(BadInput, match=r"line 1: needs id, question, answer and group.*a text or a number"):
        read_questions(path)
    path.write_text('{"id": 1, "question": "?", "answer": 1500, "group": "g"}\n')
    assert read_questions(path)[0].answer == "1500"
