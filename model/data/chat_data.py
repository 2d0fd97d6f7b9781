"""Finetuning data: conversations as packed sequences in which only what the assistant writes is learnt.

Notable:
- Every conversation is accounted for: one longer than a sequence is cut at its end, and one that then has nothing left
  from an assistant is dropped; both are counted and logged. So no sequence is all padding.
- Packing is best-fit decreasing over the whole file; attention never crosses from one conversation into another.
"""

import bisect
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
import xxhash

from model.base.errors import BadInput
from model.base.json_lines import read_json_lines
from model.data.chat_format import ChatFormat, Message, Role, ToolCall, with_tools
from model.data.packed_sequences import PackedSequences, Packing

_EXPECTED = 'a conversation looks like {"messages": [{"role": "user", "content": "..."}]}'


@dataclass(frozen=True)
class ChatData:
    """Packed conversations, and how many were cut or dropped."""

    sequences: PackedSequences
    digest: str
    """xxh3-128 of ids, mask and packing: equal digests mean equal batches."""
    facts: dict[str, int]
    """Numbers of conversations, of those cut and dropped, and of sequences."""


def open_chat_data(path: Path, chat: ChatFormat, context: int, global_batch_size: int, seed: int) -> ChatData:
    """Read and pack the conversations of a JSONL file, one {"id": ..., "messages": [...]} a line.

    Raises BadInput if a line is malformed, or no assistant says anything.
    """
    kept: list[tuple[list[int], list[bool]]] = []
    cut = dropped = 0
    for messages in read_conversations(path):
        ids, written = chat.conversation(messages)
        cut += len(ids) > context + 1
        ids, written = ids[: context + 1], written[: context + 1]
        if any(written[1:]):
            kept.append((ids, written))
        else:
            dropped += 1
    if not kept:
        raise BadInput(f"{path} holds no conversation in which an assistant says anything within {context} tokens")
    tokens = np.concatenate([np.array(ids, dtype=np.uint32) for ids, _ in kept])
    trained = np.concatenate([np.array(written, dtype=bool) for _, written in kept])
    packing = pack([len(ids) for ids, _ in kept], context + 1)
    digest = xxhash.xxh3_128()
    for array in (tokens, trained, packing.offsets, packing.starts, packing.lengths):
        digest.update(np.ascontiguousarray(array).tobytes())
    facts = {"conversations": len(kept) + dropped, "cut": cut, "dropped": dropped, "sequences": packing.sequences}
    sequences = PackedSequences(tokens, packing, context, global_batch_size, seed, trained, chat.end_of_text)
    return ChatData(sequences, digest.hexdigest(), facts)


def pack(lengths: list[int], room: int) -> Packing:
    """Pack pieces of the given lengths, none above `room`, by best-fit decreasing.

    Piece i starts where the pieces before it end in the token array.
    """
    starts = np.concatenate([[0], np.cumsum(lengths)])[:-1]
    bins: list[list[int]] = []
    space: list[tuple[int, int]] = []
    for piece in sorted(range(len(lengths)), key=lambda index: (-lengths[index], index)):
        at = bisect.bisect_left(space, (lengths[piece], -1))
        left, number = space.pop(at) if at < len(space) else (room, len(bins))
        if number == len(bins):
            bins.append([])
        bins[number].append(piece)
        bisect.insort(space, (left - lengths[piece], number))
    order = np.array([piece for pieces in bins for piece in pieces], dtype=np.int64)
    offsets = np.concatenate([[0], np.cumsum([len(pieces) for pieces in bins])]).astype(np.int64)
    return Packing(offsets, starts[order].astype(np.int64), np.array(lengths, dtype=np.int64)[order])


def read_conversations(path: Path) -> list[list[Message]]:
    """Return the conversations of a JSONL file, in order, each with its `tools` described in its system turn.

    Raises BadInput if the file is missing or a line is malformed.
    """
    return [conversation_of(values, where) for where, values in read_json_lines(path, "conversations", _EXPECTED)]


def conversation_of(values: Any, where: str) -> list[Message]:
    """Return the conversation in the JSON object of a line; raises BadInput, which begins with `where`, at another."""
    try:
        found = [_message(message) for message in values["messages"]]
        tools = values.get("tools") or []
        if not isinstance(tools, list) or not all(isinstance(tool, dict) for tool in tools):
            raise TypeError("tools must be a list of objects")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(f"{where}: {_EXPECTED}; got {error!r}") from error
    for message in found:
        if message.role not in get_args(Role) or not isinstance(message.content, str):
            raise BadInput(f"{where}: role must be one of {', '.join(get_args(Role))} and content a string")
        if message.calls and message.role != "assistant":
            raise BadInput(f"{where}: only an assistant calls tools, not a {message.role}")
    return with_tools(found, tools)


def _message(values: dict[str, Any]) -> Message:
    calls = tuple(_call(call) for call in values.get("tool_calls") or ())
    content: Any = values.get("content") or "" if calls else values["content"]
    thinking = values.get("reasoning_content")
    if not isinstance(thinking, str | None):
        raise TypeError("reasoning_content must be a string")
    return Message(values["role"], _text(content), calls, thinking)


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
