"""Tokens into text as they come: never half a character, never a part of a stop string."""

from collections.abc import Callable, Sequence

_INCOMPLETE = "\N{REPLACEMENT CHARACTER}"
_LONGEST_CHARACTER = 4
"""Bytes of a character in UTF-8, and so the most tokens that may hold one between them."""


class TextStream:
    """The text of one continuation. `push` returns what can be shown so far, `finish` the rest.

    Notable: a token is decoded together with the ones before it, since some tokenizers decode a token differently at
    the beginning of a text; only the last few are decoded again.
    """

    def __init__(self, decode: Callable[[list[int]], str], stop_strings: Sequence[str] = ()) -> None:
        self._decode = decode
        self._stops = [stop for stop in stop_strings if stop]
        self._ids: list[int] = []
        self._before = self._shown = 0
        """Where in the ids the context of the next decoding begins, and up to where they were turned into text."""
        self._held = ""
        self.stopped = False
        """Whether a stop string came; its text and what follows are not returned."""

    def push(self, token_id: int) -> str:
        """Add a token and return the text that it completes, which may be empty."""
        if self.stopped:
            return ""
        self._ids.append(token_id)
        new = self._new_text()
        if new.endswith(_INCOMPLETE) and len(self._ids) - self._shown < _LONGEST_CHARACTER:
            return ""
        self._before, self._shown = self._shown, len(self._ids)
        return self._without_stops(new)

    def finish(self) -> str:
        """Return the text that was held back, once no more tokens come."""
        if self.stopped:
            return ""
        rest = self._without_stops(self._new_text()) + ("" if self.stopped else self._held)
        self._held, self._shown = "", len(self._ids)
        return rest

    def _new_text(self) -> str:
        known = self._decode(self._ids[self._before : self._shown])
        return self._decode(self._ids[self._before :])[len(known) :]

    def _without_stops(self, new: str) -> str:
        """Return what of the text held back and the new one is safe to show, and hold back the rest."""
        text = self._held + new
        found = [at for at in (text.find(stop) for stop in self._stops) if at >= 0]
        if found:
            self.stopped, self._held = True, ""
            return text[: min(found)]
        held = max((overlap(text, stop) for stop in self._stops), default=0)
        self._held = text[len(text) - held :]
        return text[: len(text) - held]


def overlap(text: str, stop: str) -> int:
    """Return the length of the longest end of `text` that begins `stop`."""
    return next((size for size in range(min(len(stop) - 1, len(text)), 0, -1) if text.endswith(stop[:size])), 0)
