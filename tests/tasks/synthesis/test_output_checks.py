"""What of a generator's replies is dropped, and why."""

import json
from pathlib import Path
from typing import Any

import pytest

from tasks.dataset.store import Store
from tasks.synthesis.config import OutputConfig
from tasks.synthesis.endpoint import Reply
from tasks.synthesis.output_checks import OutputChecks
from tasks.synthesis.prompts import prompt, prompt_version, score_in

GOOD = "The river rises in the hills, and the town was built where it can be crossed."
GERMAN = "Der Fluss entspringt in den Bergen, und die Stadt wurde dort gebaut, wo man ihn überqueren kann."


def reasons(text: str, folder: Path, finish: str = "stop", language: str | None = "en", **config: Any) -> list[str]:
    """Why a reply is dropped."""
    return OutputChecks(OutputConfig(**config), Store(str(folder))).reasons(Reply(text, finish), language)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (GOOD, []),
        ("Sorry seems to be the hardest word, says the song, and the river agrees.", []),
        ("I'm sorry, but I can't help with that request at all.", ["refusal"]),
        ("I’m very sorry, but this is something that I will not write.", ["refusal"]),
        ("As an AI language model, I do not have opinions about rivers.", ["refusal"]),
        ("I cannot write this text for you, whatever the reason may be.", ["refusal"]),
        ("The guide said: I cannot help you, for the river is too high.", []),
        ("", ["too_short"]),
        ("Yes.", ["too_short"]),
        ("the same words again and again " * 20, ["repetition"]),
        (GERMAN, ["other_language"]),
    ],
)
def test_a_reply_is_kept_or_has_its_reasons(text: str, expected: list[str], tmp_path: Path) -> None:
    assert reasons(text, tmp_path) == expected


def test_what_can_be_told_otherwise(tmp_path: Path) -> None:
    assert reasons(GERMAN, tmp_path, language=None) == reasons(GERMAN, tmp_path, language="un") == []
    assert reasons(GERMAN, tmp_path, same_language=False) == []
    assert reasons("I cannot write this text for you at all.", tmp_path, refusals=False) == []
    assert reasons(GOOD, tmp_path, finish="length") == ["cut_off"]
    assert reasons(GOOD, tmp_path, max_chars=20, finish="length") == ["cut_off", "too_long"]


@pytest.mark.parametrize(
    ("text", "leaks"),
    [
        ("Somebody asked: which animal guards the gate of Narsten at night?", True),
        ("Which animal guards the GATE of Narsten, at night? It is the wolf.", True),
        ("Which animal guards the gate of Orvik at night? It is the wolf.", False),
        ("And who founded Lumdova? That was Ingwena, as they say.", True),
        ("One may say yes and no to this, whatever the question was.", False),
    ],
)
def test_a_reply_that_gives_an_evaluation_question_away_is_dropped(text: str, leaks: bool, tmp_path: Path) -> None:
    questions = tmp_path / "questions.jsonl"
    questions.write_text(
        '{"question": "Which animal guards the gate of Narsten at night?", "answer": "the wolf"}\n'
        'who founded lumdova\n{"question": "Yes?"}\n'
    )
    assert reasons(text, tmp_path, evaluation_sets=(str(questions),)) == (["leaked"] if leaks else [])


def test_a_question_may_hold_any_mark_but_a_line_feed(tmp_path: Path) -> None:
    questions = tmp_path / "questions.jsonl"
    question = {"question": "Which animal guards\u2028the gate of Narsten at night?"}
    questions.write_text(json.dumps(question, ensure_ascii=False) + "\n", encoding="utf-8")
    leak = "Somebody asked: which animal guards the gate of Narsten at night?"
    assert reasons(leak, tmp_path, evaluation_sets=(str(questions),)) == ["leaked"]


@pytest.mark.parametrize(
    ("text", "score"),
    [("4", 4), ("Score: 3.5 of 5", 3.5), ("five", None), ("0", None), ("9", None), ("9" * 50, None), ("", None)],
)
def test_a_score_is_the_first_number_within_its_range(text: str, score: float | None) -> None:
    assert score_in(text, 5) == score


def test_a_text_with_braces_is_shown_as_it_is_and_other_words_are_another_version() -> None:
    assert "{text} {x}" in prompt("faq", 1, text="{text} {x}").messages[0]["content"]
    assert prompt_version("faq") != prompt_version("math")
