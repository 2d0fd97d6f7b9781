"""What is one line of JSON, whoever wrote the file."""

import json
from pathlib import Path

import pytest

from model.base.errors import BadInput
from model.base.json_lines import json_lines, logged_objects, read_json_lines
from model.data.conversations import read_conversations
from model.evaluation.questions import read_questions
from model.metrics.metrics_log import MetricsLog


def read(data: bytes, folder: Path) -> list[object]:
    """The values of a file with these bytes."""
    path = folder / "values.jsonl"
    path.write_bytes(data)
    return [value for _, value in read_json_lines(path, "values", "a value looks like 1")]


@pytest.mark.parametrize("mark", ["\u2028", "\u2029", "\u0085", "\x0b", "\x0c", "\x1c"])
def test_only_a_line_feed_ends_a_line(tmp_path: Path, mark: str) -> None:
    """RFC 8259 allows U+2028, U+2029 and U+0085 in strings; the control characters are white space to `splitlines`."""
    chat, questions = tmp_path / "chat.jsonl", tmp_path / "questions.jsonl"
    spelt = mark if mark > "\x7f" else json.dumps(mark)[1:-1]
    chat.write_text(
        f'{{"messages": [{{"role": "user", "content": "Where{spelt}is it?"}}]}}\r\n'
        '{"messages": [{"role": "user", "content": "There."}]}',
        encoding="utf-8",
    )
    assert [talk[0].content for talk in read_conversations(chat)] == [f"Where{mark}is it?", "There."]
    questions.write_text(
        f'{{"id": "1", "question": "one{spelt}two?", "answer": "x", "group": "g"}}\n', encoding="utf-8"
    )
    assert [question.question for question in read_questions(questions)] == [f"one{mark}two?"]


def test_what_is_written_is_read_back_line_by_line(tmp_path: Path) -> None:
    rows = [{"reply": f"a{mark}b"} for mark in "\u2028\u2029\u0085\n\r"] + [{"reply": "half of \ud83d"}]
    text = json_lines(rows)
    assert text.count("\n") == len(rows)
    expected = [*rows[:-1], {"reply": "half of \N{REPLACEMENT CHARACTER}"}]
    assert list(logged_objects(text)) == expected
    assert read(text.encode(), tmp_path) == expected


def test_a_byte_order_mark_is_passed_over(tmp_path: Path) -> None:
    for write, line in (
        (read_conversations, '{"messages": [{"role": "user", "content": "hi"}]}'),
        (read_questions, '{"id": "1", "question": "b?", "answer": "x", "group": "g"}'),
    ):
        path = tmp_path / "marked.jsonl"
        path.write_text(f"{line}\n{line}\n", encoding="utf-8-sig")
        assert len(write(path)) == 2


def test_half_a_surrogate_pair_becomes_a_replacement_character(tmp_path: Path) -> None:
    assert read(rb'{"\ud83d": ["a \uD83D", "\udc00", "\ud83d\ude00", "\\ud83d"]}', tmp_path) == [
        {"\ufffd": ["a \ufffd", "\ufffd", "\N{GRINNING FACE}", "\\ud83d"]}
    ]


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        (b'"caf\xe9"', "can't decode byte 0xe9"),
        (b'{"a": 1', "Expecting .,. delimiter"),
        (b"[" * 200_000, "recursion depth"),
        (b"9" * 5_000, "4300 digits"),
        (b"\xed\xa0\xbd", "can't decode byte 0xed"),
    ],
)
def test_a_line_that_is_no_json_is_named(tmp_path: Path, line: bytes, cause: str) -> None:
    with pytest.raises(
        BadInput, match=rf"values\.jsonl, line 3: a value looks like 1; this is not JSON in UTF-8: .*{cause}"
    ):
        read(b"1\n\n" + line + b"\n2\n", tmp_path)
    with pytest.raises(BadInput, match=r"cannot read the values .*: No such file"):
        read_json_lines(tmp_path / "none.jsonl", "values", "")


def test_a_log_cut_in_a_line_loses_that_line_alone(tmp_path: Path) -> None:
    """A kill may end a log anywhere, in the middle of a character too."""
    path = tmp_path / "metrics.jsonl"
    log = MetricsLog(path, 0)
    for step in (1, 2, 3):
        log.write("skipped", step, reason="caf\u00e9\u2028")
    log.close()
    whole = path.read_bytes()
    last = whole.rindex(b"\n", 0, -1) + 1
    for end in range(last, len(whole) + 1):
        path.write_bytes(whole[:end])
        steps = [event["step"] for event in logged_objects(path.read_bytes().decode(errors="replace"))]
        assert steps == ([1, 2, 3] if end >= len(whole) - 1 else [1, 2])
        resumed = MetricsLog(path, 3)
        resumed.write("resume", 3)
        resumed.close()
        assert [event["step"] for event in logged_objects(path.read_text(encoding="utf-8"))] == [*steps, 3]
