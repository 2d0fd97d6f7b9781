"""The forms in which people have conversations, all read as the same messages."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from model.base.errors import BadInput
from model.data.chat_format import Message, ToolCall, load_chat_format
from model.data.conversations import read_conversations
from tests.model.tiny_corpus import TinyCorpus

ASKED = [Message("system", "Be brief."), Message("user", "What sells Karam?"), Message("assistant", "Salt.")]
FORMS: dict[str, dict[str, Any]] = {
    "chat API": {
        "id": 7,
        "messages": [
            {"role": "developer", "content": [{"type": "text", "text": "Be brief."}]},
            {"role": "user", "content": [{"type": "text", "text": "What sells "}, {"type": "text", "text": "Karam?"}]},
            {"role": "assistant", "content": [{"type": "text", "text": "Salt."}], "weight": 1},
        ],
    },
    "ShareGPT": {
        "system": "Be brief.",
        "conversations": [{"from": "human", "value": "What sells Karam?"}, {"from": "gpt", "value": "Salt."}],
    },
    "ShareGPT, a system turn": {
        "conversations": [
            {"from": "system", "value": "Be brief."},
            {"from": "user", "value": "What sells Karam?"},
            {"from": "assistant", "value": "Salt."},
        ]
    },
    "Alpaca": {"instruction": "What sells Karam?", "input": "", "output": "Salt.", "system": "Be brief."},
}


def written(path: Path, records: list[dict[str, Any]]) -> Path:
    """The records as JSON lines or Parquet, by the path's ending."""
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(records), path)
    else:
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


@pytest.mark.parametrize("record", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("name", ["chat.jsonl", "chat.parquet"])
def test_every_form_is_the_same_conversation(tmp_path: Path, name: str, record: dict[str, Any]) -> None:
    assert read_conversations(written(tmp_path / name, [record, record])) == [ASKED, ASKED]


def test_alpacas_input_and_history_are_said_too(tmp_path: Path) -> None:
    record = {"instruction": "Translate:", "input": "sel", "output": "salt", "history": [["Hello.", "Hi."]]}
    (messages,) = read_conversations(written(tmp_path / "chat.jsonl", [record]))
    assert [message.content for message in messages] == ["Hello.", "Hi.", "Translate:\n\nsel", "salt"]


def test_sharegpts_calls_and_their_results(tmp_path: Path) -> None:
    turns = [
        {"from": "human", "value": "2+2?"},
        {"from": "function_call", "value": '{"name": "calculator", "arguments": {"expression": "2+2"}}'},
        {"from": "observation", "value": "4"},
        {"from": "gpt", "value": "4."},
    ]
    (messages,) = read_conversations(written(tmp_path / "chat.jsonl", [{"conversations": turns}]))
    assert [message.role for message in messages] == ["user", "assistant", "tool", "assistant"]
    assert messages[1].calls == (ToolCall("calculator", '{"expression": "2+2"}'),)


def test_a_message_of_no_weight_is_not_learnt(corpus: TinyCorpus, tmp_path: Path) -> None:
    chat = load_chat_format(corpus.tokenizer)
    messages = [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "bad", "weight": 0},
        {"role": "user", "content": "b"},
        {"role": "assistant", "content": "good"},
    ]
    (found,) = read_conversations(written(tmp_path / "chat.jsonl", [{"messages": messages}]))
    ids, written_by_assistant = chat.conversation(found)
    learnt = [token for token, is_learnt in zip(ids, written_by_assistant, strict=True) if is_learnt]
    assert learnt == [*chat.encode("good"), chat.end_of_turn]


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"conversations": [{"from": "stranger", "value": "a"}]}, "role must be one of"),
        ({"conversations": [{"role": "user", "content": "a"}]}, "KeyError"),
        ({"instruction": "a"}, "KeyError.*output"),
        ({"instruction": "a", "output": "b", "history": [["c"]]}, "ValueError"),
        ({"messages": [{"role": "assistant", "content": "a", "weight": 0.5}]}, "weight must be 0 or 1, not 0.5"),
    ],
)
def test_what_is_malformed_is_named(tmp_path: Path, record: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=rf"chat\.jsonl, line 2: .*{message}"):
        read_conversations(written(tmp_path / "chat.jsonl", [FORMS["Alpaca"], record]))
    with pytest.raises(BadInput, match=rf"chat\.parquet, row 1: .*{message}"):
        read_conversations(written(tmp_path / "chat.parquet", [record]))


@pytest.mark.parametrize(
    "message",
    [
        {"role": "assistant", "content": "", "tool_calls": [{"name": "f", "arguments": "[" * 100_000}]},
        {"from": "function_call", "value": "[" * 100_000},
    ],
)
def test_a_call_that_is_nested_too_deeply_is_named(tmp_path: Path, message: dict[str, Any]) -> None:
    name = "messages" if "role" in message else "conversations"
    with pytest.raises(BadInput, match=r"chat\.jsonl, line 1: .*RecursionError"):
        read_conversations(written(tmp_path / "chat.jsonl", [{name: [message]}]))


def test_half_a_character_within_a_call_becomes_the_replacement_character(tmp_path: Path) -> None:
    text = '{"name": "f\\ud83d", "arguments": {"a": "x\\udc00"}}'
    call = ToolCall("f\ufffd", '{"a": "x\ufffd"}')
    turns = [{"from": "human", "value": "hi"}, {"from": "function_call", "value": text}]
    (messages,) = read_conversations(written(tmp_path / "chat.jsonl", [{"conversations": turns}]))
    assert messages[1].calls == (call,)
    assert ToolCall.parse(text) == call, "and so where a model writes it"


def test_a_file_that_is_no_parquet_is_named(tmp_path: Path) -> None:
    (tmp_path / "chat.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(BadInput, match=r"cannot read the conversations .*chat\.parquet"):
        read_conversations(tmp_path / "chat.parquet")
    with pytest.raises(BadInput, match="cannot read the conversations"):
        read_conversations(tmp_path / "none.parquet")
