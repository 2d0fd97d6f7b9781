"""Calls of tools: read out of what a model writes, as it comes, and carried out between its turns.

Notable: a call is JSON between two markers. Text that might be the beginning of a marker is held back until that is
known; what stands between markers and is no call is handed on as the text that it is. Only the tokens of calls are
carried out, never a text that looks like them.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from model.data.chat_format import CALL, END_OF_CALL, ChatFormat, Message, ToolCall
from model.inference.engine import Engine
from model.inference.requests import GenerationRequest
from model.inference.text_stream import overlap
from model.tools.runner import ToolRunner


@dataclass
class ToolCallReader:
    """Divides a stream of text into text and calls."""

    _rest: str = ""
    _in_call: bool = False

    def feed(self, text: str) -> list[str | ToolCall]:
        """Take the next piece of text; return what is whole of it."""
        self._rest += text
        found: list[str | ToolCall] = []
        while True:
            marker = END_OF_CALL if self._in_call else CALL
            before, met, after = self._rest.partition(marker)
            if met:
                found += [_call_or_text(before)] if self._in_call else [before]
                self._rest, self._in_call = after, not self._in_call
                continue
            if not self._in_call:
                held = overlap(self._rest, marker)
                found.append(self._rest[: len(self._rest) - held])
                self._rest = self._rest[len(self._rest) - held :]
            return [piece for piece in found if piece]

    def finish(self) -> list[str | ToolCall]:
        """Return what was held back when the text has ended; a call that was cut off is text."""
        rest = CALL + self._rest if self._in_call else self._rest
        self._rest, self._in_call = "", False
        return [rest] if rest else []


def _call_or_text(text: str) -> str | ToolCall:
    return ToolCall.parse(text) or CALL + text + END_OF_CALL


def without_calls(pieces: Iterable[str]) -> Iterator[str]:
    """Yield a text as it comes, without the calls in it."""
    reader = ToolCallReader()
    for piece in pieces:
        yield from (text for text in reader.feed(piece) if isinstance(text, str))
    yield from (text for text in reader.finish() if isinstance(text, str))


@dataclass(frozen=True)
class Round:
    """What the calls at the end of a turn add."""

    messages: tuple[Message, ...]
    """The assistant's turn, then the results."""
    prompt: tuple[int, ...]
    """The prompt of the next turn."""


def next_round(chat: ChatFormat, tools: ToolRunner, prompt: Sequence[int], made: Sequence[int]) -> Round | None:
    """Carry out the calls in a turn, `made` without its end, that continued `prompt`; None if it calls nothing."""
    content, calls = chat.calls_in(made)
    if not calls:
        return None
    results = [tools.call(call) if call else "error: a call is JSON with name and arguments" for call in calls]
    turn = Message("assistant", content, tuple(call for call in calls if call))
    messages = (turn, *(Message("tool", result) for result in results))
    return Round(messages, (*prompt, *made, *chat.after_calls(results)))


@dataclass
class ToolAnswer:
    """An answer that may have called tools."""

    token_ids: list[int] = field(default_factory=list)
    """Of the last turn."""
    messages: list[Message] = field(default_factory=list)
    """The turns before it: calls and their results."""


def generate_with_tools(
    engine: Engine, chat: ChatFormat, requests: Sequence[GenerationRequest], tools: ToolRunner
) -> list[ToolAnswer]:
    """Run requests to their ends, with the calls of their turns carried out in between, and return the last turns.

    An answer ends where it calls nothing, or has no rounds or no context left.
    """
    answers = [ToolAnswer() for _ in requests]
    asked = dict(enumerate(requests))
    for rounds_left in range(tools.limits.rounds, -1, -1):
        made = engine.generate(list(asked.values()))
        following: dict[int, GenerationRequest] = {}
        for (number, request), generation in zip(asked.items(), made, strict=True):
            answers[number].token_ids = generation.token_ids
            if not rounds_left or generation.finish_reason != "stop":
                continue
            added = next_round(chat, tools, request.prompt_ids, generation.token_ids)
            if added and len(added.prompt) < engine.decoder.context:
                answers[number].messages += added.messages
                following[number] = replace(request, prompt_ids=added.prompt)
        asked = following
    return answers
