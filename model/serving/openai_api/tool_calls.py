"""Calls of tools, read out of what a model writes, as it comes.

Notable: a call is JSON between two markers. Text that might be the beginning of a marker is held back until that is
known; what stands between markers and is no call is handed on as the text that it is.
"""

import json
from dataclasses import dataclass

from model.data.chat_format import CALL, END_OF_CALL, ToolCall
from model.inference.text_stream import overlap


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
    try:
        value = json.loads(text)
        name, arguments = value["name"], value.get("arguments", {})
    except (ValueError, RecursionError, TypeError, KeyError, AttributeError):
        return CALL + text + END_OF_CALL
    if not isinstance(name, str) or not isinstance(arguments, dict):
        return CALL + text + END_OF_CALL
    return ToolCall(name, json.dumps(arguments, ensure_ascii=False))
