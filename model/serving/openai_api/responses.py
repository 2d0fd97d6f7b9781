"""Answers as OpenAI's clients read them: whole ones and the chunks of streams, for both kinds of request."""

import secrets
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from model.data.chat_format import ToolCall
from model.serving.openai_api.choices import Piece, TokenLogprob


def _identifier(prefix: str) -> str:
    return f"{prefix}-{secrets.token_hex(12)}"


@dataclass
class ChatShape:
    """The answers of /v1/chat/completions."""

    model: str
    has_logprobs: bool
    id: str = field(default_factory=lambda: _identifier("chatcmpl"))
    created: int = field(default_factory=lambda: int(time.time()))
    _calls: dict[int, int] = field(default_factory=dict)
    """How many calls each choice has made."""

    def whole(self, answers: Sequence[Piece], usage: dict[str, Any]) -> dict[str, Any]:
        """Return the whole answer."""
        choices = []
        for index, piece in enumerate(answers):
            calls = [_call(call) for call in piece.calls]
            content = None if calls and not piece.text else piece.text
            message: dict[str, Any] = {"role": "assistant", "content": content, "refusal": None}
            if calls:
                message["tool_calls"] = calls
            choices.append(self._choice(index, piece, message=message))
        return self._head("chat.completion") | {"choices": choices, "usage": usage}

    def first(self, index: int) -> dict[str, Any]:
        """Return the chunk that opens a choice."""
        delta = {"role": "assistant", "content": ""}
        return self.chunk([self._choice(index, Piece(), delta=delta)])

    def piece(self, index: int, piece: Piece) -> dict[str, Any]:
        """Return the chunk of a piece."""
        delta: dict[str, Any] = {"content": piece.text} if piece.text else {}
        if piece.calls:
            known = self._calls.get(index, 0)
            delta["tool_calls"] = [{"index": at, **_call(call)} for at, call in enumerate(piece.calls, known)]
            self._calls[index] = known + len(piece.calls)
        return self.chunk([self._choice(index, piece, delta=delta)])

    def chunk(self, choices: Sequence[dict[str, Any]], usage: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return a chunk of a stream."""
        counted = {} if usage is None else {"usage": usage}
        return self._head("chat.completion.chunk") | {"choices": list(choices)} | counted

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model}

    def _choice(self, index: int, piece: Piece, **content: Any) -> dict[str, Any]:
        logprobs = None
        if self.has_logprobs:
            logprobs = {"content": [_logprob(one, with_top=True) for one in piece.logprobs], "refusal": None}
        return {"index": index, **content, "logprobs": logprobs, "finish_reason": piece.finish_reason}


@dataclass
class CompletionShape:
    """The answers of /v1/completions."""

    model: str
    has_logprobs: bool
    id: str = field(default_factory=lambda: _identifier("cmpl"))
    created: int = field(default_factory=lambda: int(time.time()))
    _lengths: dict[int, int] = field(default_factory=dict)
    """Characters of each choice's text so far."""

    def whole(self, answers: Sequence[Piece], usage: dict[str, Any]) -> dict[str, Any]:
        """Return the whole answer."""
        choices = [self._choice(index, piece) for index, piece in enumerate(answers)]
        return self.chunk(choices) | {"usage": usage}

    def first(self, index: int) -> None:
        """A choice is opened by its first piece."""

    def piece(self, index: int, piece: Piece) -> dict[str, Any]:
        """Return the chunk of a piece."""
        return self.chunk([self._choice(index, piece)])

    def chunk(self, choices: Sequence[dict[str, Any]], usage: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return a chunk of a stream."""
        head = {"id": self.id, "object": "text_completion", "created": self.created, "model": self.model}
        return head | {"choices": list(choices)} | ({} if usage is None else {"usage": usage})

    def _choice(self, index: int, piece: Piece) -> dict[str, Any]:
        logprobs = None
        if self.has_logprobs:
            offset = self._lengths.get(index, 0)
            offsets = []
            for one in piece.logprobs:
                offsets.append(offset)
                offset += len(one.text)
            self._lengths[index] = offset
            logprobs = {
                "tokens": [one.text for one in piece.logprobs],
                "token_logprobs": [one.logprob for one in piece.logprobs],
                "top_logprobs": [{other.text: other.logprob for other in one.top} for one in piece.logprobs],
                "text_offset": offsets,
            }
        return {"index": index, "text": piece.text, "logprobs": logprobs, "finish_reason": piece.finish_reason}


Shape = ChatShape | CompletionShape


def usage_of(prompt_tokens: int, completion_tokens: int) -> dict[str, Any]:
    """Return the count of an answer's tokens."""
    total = prompt_tokens + completion_tokens
    return {"prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens, "total_tokens": total}


def model_list(names: Iterable[str], created: int) -> dict[str, Any]:
    """Return the answer of /v1/models."""
    return {"object": "list", "data": [model_card(name, created) for name in names]}


def model_card(name: str, created: int) -> dict[str, Any]:
    """Return a model as /v1/models shows it."""
    return {"id": name, "object": "model", "created": created, "owned_by": "sluice"}


def _call(call: ToolCall) -> dict[str, Any]:
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": _identifier("call"), "type": "function", "function": function}


def _logprob(one: TokenLogprob, with_top: bool) -> dict[str, Any]:
    shown = {"token": one.text, "bytes": one.bytes, "logprob": one.logprob}
    return shown | ({"top_logprobs": [_logprob(other, False) for other in one.top]} if with_top else {})
