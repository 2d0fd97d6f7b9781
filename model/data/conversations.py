"""Conversations in a file, in the forms that people have them in.

Notable:
- JSON Lines or Parquet; a record is told by its fields. `messages` is the form of the chat APIs: a `developer` is a
  system, and a message of `weight` 0 is not learnt, as in OpenAI's finetuning. `conversations` is ShareGPT's, with the
  senders that its users have added, and `instruction`, `input`, `output` Alpaca's, with LLaMA-Factory's `history`.
- Further fields are passed over.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pyarrow as pa
import pyarrow.parquet as pq

from model.base.errors import BadInput
from model.base.json_lines import json_value, read_json_lines
from model.data.chat_format import Message, Role, ToolCall, with_tools

_EXPECTED = 'a conversation looks like {"messages": [{"role": "user", "content": "..."}]}'
_COLUMNS = {"messages", "conversations", "system", "tools", "instruction", "input", "output", "history"}
_ROWS_AT_A_TIME = 1000
_SENDERS = {
    "human": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bot": "assistant",
    "model": "assistant",
    "observation": "tool",
    "function_response": "tool",
}
"""ShareGPT's words for roles, where they are others than ours."""


def read_conversations(path: Path) -> list[list[Message]]:
    """Return the conversations of a file, in order, each with its `tools` described in its system turn.

    Raises BadInput if the file is missing, or a line or row is malformed.
    """
    is_parquet = path.suffix == ".parquet"
    rows = _rows(path) if is_parquet else iter(read_json_lines(path, "conversations", _EXPECTED))
    return [conversation_of(values, where) for where, values in rows]


def _rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the rows of a Parquet file, each with its place for error messages."""
    try:
        with pq.ParquetFile(path) as opened:
            columns = [name for name in opened.schema_arrow.names if name in _COLUMNS]
            number = 0
            for batch in opened.iter_batches(_ROWS_AT_A_TIME, columns=columns):
                for row in batch.to_pylist():
                    number += 1
                    yield f"{path}, row {number}", {name: value for name, value in row.items() if value is not None}
    except (OSError, pa.ArrowException) as error:
        raise BadInput(f"cannot read the conversations {path}: {error}") from error


def conversation_of(values: Any, where: str) -> list[Message]:
    """Return the conversation in the JSON object of a line; raises BadInput, which begins with `where`, at another."""
    try:
        found = [_message(message) for message in _messages(values)]
        tools = values.get("tools") or []
        if not isinstance(tools, list) or not all(isinstance(tool, dict) for tool in tools):
            raise TypeError("tools must be a list of objects")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BadInput(f"{where}: {_EXPECTED}; got {error!r}") from error
    for message in found:
        if message.role not in get_args(Role) or not isinstance(message.content, str):
            raise BadInput(f"{where}: role must be one of {', '.join(get_args(Role))} and content a string")
        if message.calls and message.role != "assistant":
            raise BadInput(f"{where}: only an assistant calls tools, not a {message.role}")
    return with_tools(found, tools)


def _messages(values: Any) -> list[dict[str, Any]]:
    """Return a record's messages in the form of the chat APIs, whichever of the forms it has."""
    if "messages" in values:
        messages: list[dict[str, Any]] = values["messages"]
        return messages
    system = [{"role": "system", "content": values["system"]}] if values.get("system") else []
    if "conversations" in values:
        return system + [_sharegpt(turn) for turn in values["conversations"]]
    question = "\n\n".join(text for text in (values["instruction"], values.get("input")) if text)
    pairs = [*(values.get("history") or ()), (question, values["output"])]
    roles = ("user", "assistant")
    return system + [{"role": role, "content": text} for pair in pairs for role, text in zip(roles, pair, strict=True)]


def _sharegpt(turn: dict[str, Any]) -> dict[str, Any]:
    sender, text = turn["from"], turn["value"]
    if sender == "function_call":
        return {"role": "assistant", "content": "", "tool_calls": [json_value(text)]}
    return {"role": _SENDERS.get(sender, sender), "content": text}


def _message(values: dict[str, Any]) -> Message:
    calls = tuple(_call(call) for call in values.get("tool_calls") or ())
    content: Any = values.get("content") or "" if calls else values["content"]
    thinking = values.get("reasoning_content")
    if not isinstance(thinking, str | None):
        raise TypeError("reasoning_content must be a string")
    weight = values.get("weight")
    if weight not in (None, 0, 1):
        raise ValueError(f"weight must be 0 or 1, not {weight!r}")
    role = values["role"]
    return Message("system" if role == "developer" else role, _text(content), calls, thinking, weight != 0)


def _text(content: Any) -> Any:
    """Return a content that is a list of parts, as the chat APIs send it, as one text; anything else as it is."""
    if not isinstance(content, list):
        return content
    return "".join(part if isinstance(part, str) else part["text"] for part in content)


def _call(values: dict[str, Any]) -> ToolCall:
    """Read a call in the form of the chat APIs, {"function": {"name", "arguments"}}, or that inner object alone."""
    function = values.get("function") or values
    name, arguments = function["name"], function["arguments"]
    if not isinstance(json.loads(arguments) if isinstance(arguments, str) else arguments, dict):
        raise TypeError("the arguments of a call must be an object")
    if not isinstance(arguments, str):
        arguments = json.dumps(arguments, ensure_ascii=False)
    if not isinstance(name, str):
        raise TypeError("the name of a call must be a string")
    return ToolCall(name, arguments)
