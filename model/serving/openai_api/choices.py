"""One answer as it comes: tokens become text, calls of tools and log-probabilities."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from model.data.chat_format import ChatFormat, ToolCall
from model.inference.requests import TokenEvent
from model.inference.text_stream import TextStream
from model.inference.tool_calls import ToolCallReader
from model.serving.openai_api.prompts import Asked

_LEAST_LOGPROB = -9999.0
"""In place of minus infinity, which JSON cannot hold."""


@dataclass(frozen=True)
class TokenLogprob:
    """A token of an answer, as text and bytes, with its log-probability and those of the likeliest."""

    text: str
    bytes: list[int]
    logprob: float
    top: tuple["TokenLogprob", ...] = ()


@dataclass(frozen=True)
class Piece:
    """The next piece of an answer."""

    text: str = ""
    calls: tuple[ToolCall, ...] = ()
    logprobs: tuple[TokenLogprob, ...] = ()
    finish_reason: str | None = None
    """stop | length | tool_calls; set in the last piece."""


@dataclass
class Choice:
    """Reads the events of one request."""

    stream: TextStream
    token_logprob: Callable[[TokenEvent], TokenLogprob]
    calls: ToolCallReader | None
    tokens: int = 0
    """Tokens generated, a stop token included."""
    called: bool = False

    def read(self, event: TokenEvent) -> Piece:
        """Return what an event adds to the answer."""
        self.tokens += event.token_id is not None
        token = event.shown_id
        text = "" if token is None else self.stream.push(token)
        logprobs = () if token is None or event.logprob is None else (self.token_logprob(event),)
        reason: str | None = "stop" if self.stream.stopped else event.finish_reason
        if reason is not None:
            text += self.stream.finish()
        texts, calls = self._divided(text, reason is not None)
        self.called = self.called or bool(calls)
        return Piece(texts, calls, logprobs, "tool_calls" if reason == "stop" and self.called else reason)

    def _divided(self, text: str, is_end: bool) -> tuple[str, tuple[ToolCall, ...]]:
        if self.calls is None:
            return text, ()
        found = [*self.calls.feed(text), *(self.calls.finish() if is_end else ())]
        texts = [piece for piece in found if isinstance(piece, str)]
        return "".join(texts), tuple(piece for piece in found if isinstance(piece, ToolCall))


def choices_of(asked: Asked, chat: ChatFormat) -> list[Choice]:
    """Return a reader for each of the requests."""

    def token_logprob(event: TokenEvent) -> TokenLogprob:
        assert event.token_id is not None and event.logprob is not None
        top = [_shown(chat, token, logprob) for token, logprob in event.top_logprobs]
        chosen = _shown(chat, event.token_id, event.logprob)
        return TokenLogprob(chosen.text, chosen.bytes, chosen.logprob, tuple(top))

    made = []
    for _ in asked.requests:
        reader = ToolCallReader() if asked.reads_calls else None
        if reader and asked.begun:
            reader.feed(asked.begun)
        made.append(Choice(TextStream(chat.decode, asked.stop_texts), token_logprob, reader))
    return made


def _shown(chat: ChatFormat, token: int, logprob: float) -> TokenLogprob:
    written = chat.token_bytes(token)
    try:
        text = written.decode()
    except UnicodeDecodeError:  # a part of a character, as OpenAI writes it
        text = "bytes:" + "".join(f"\\x{byte:02x}" for byte in written)
    return TokenLogprob(text, list(written), max(logprob, _LEAST_LOGPROB))


def whole(pieces: Sequence[Piece]) -> Piece:
    """Return the pieces of an answer as one."""
    return Piece(
        "".join(piece.text for piece in pieces),
        tuple(call for piece in pieces for call in piece.calls),
        tuple(logprob for piece in pieces for logprob in piece.logprobs),
        pieces[-1].finish_reason if pieces else None,
    )
