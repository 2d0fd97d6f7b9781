"""The documents of the corpus that share an answer's longest spans, as JSON."""

from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field

from model.base.errors import BadInput
from model.data.chat_format import ChatFormat
from model.span_index.search import SharedSpan, SharingPage, SpanIndex, tokenizer_digest

_MOST_TOKENS = 2048
"""Tokens of a text that are looked for."""
_SHORTEST_SPAN = 6
"""Tokens; shorter spans are shared by chance."""
_SPANS_SHOWN = 3
_CONTEXT = 16
"""Tokens of a document that are shown on each side of a span."""


class SourcesRequest(BaseModel):
    """The body of /sources."""

    model_config = ConfigDict(extra="forbid", strict=True)

    text: Annotated[str, Field(max_length=1 << 16)]
    documents: Annotated[int, Field(ge=1, le=20)] = 5
    """Most documents to return."""


class Sources:
    """Answers which documents share a text's longest spans."""

    def __init__(self, folder: Path, tokenizer: Path, chat: ChatFormat) -> None:
        """Open an index; raises BadInput if it cannot be read, or holds another tokenizer's ids."""
        self._index, self._chat = SpanIndex(folder), chat
        if self._index.tokenizer != tokenizer_digest(tokenizer):
            raise BadInput(f"the span index in {folder} has another tokenizer's ids than {tokenizer}; build it again")

    def find(self, request: SourcesRequest) -> dict[str, Any]:
        """Return the documents, those with the longest span first."""
        tokens = self._chat.encode(request.text)[:_MOST_TOKENS]
        found = self._index.search(tokens, _SHORTEST_SPAN, request.documents, _CONTEXT)
        return {"object": "list", "documents": self._index.documents, "data": [self._shown(page) for page in found]}

    def _shown(self, sharing: SharingPage) -> dict[str, Any]:
        page = sharing.page
        return {
            "id": page.id,
            # A page's address comes from the crawl; only such a one may become a link.
            "url": page.url if _scheme(page.url) in ("http", "https") else None,
            "title": page.title,
            "shared_tokens": sharing.shared,
            "spans": [self._span(span) for span in sharing.spans[:_SPANS_SHOWN]],
        }

    def _span(self, span: SharedSpan) -> dict[str, Any]:
        before, shared, after = (self._chat.decode(tokens) for tokens in span.context)
        return {"tokens": span.length, "before": before, "shared": shared, "after": after}


def _scheme(url: str) -> str:
    """Return the scheme of an address, "" where it has none or is no address."""
    try:
        return urlsplit(url).scheme
    except ValueError:
        return ""
