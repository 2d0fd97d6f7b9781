"""Which fields of a row are the text, the id, the address, the date; the same for JSON lines and Parquet.

Notable: without a word in the recipe the usual names are tried, so exports of Hugging Face, FineWeb and Dolma are read
as they are. A dotted name is a field inside another, such as `metadata.url`.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from tasks.base.config import Config
from tasks.documents.record import TextRecord, UnreadableRow, utc_date

TEXT_NAMES = ("text", "content", "raw_content")
_ID_NAMES = ("id", "_id", "doc_id", "docid")
_URL_NAMES = ("url", "metadata.url", "meta.url", "source_url")
_DATE_NAMES = ("date", "timestamp", "created", "metadata.date", "meta.timestamp")
_LANGUAGE_NAMES = ("language", "lang", "metadata.language")
_TITLE_NAMES = ("title", "metadata.title", "meta.title")
_LICENSE_NAMES = ("license", "metadata.license", "meta.license")
_MAX_ID_CHARS = 1000
_MAX_URL_CHARS = 8000


class ColumnsConfig(Config):
    """Which columns of JSON lines and Parquet files hold what; a dot leads into a field, as in `metadata.url`."""

    text: str | None = Field(default=None, min_length=1)
    """The document's text; null: text, content or raw_content."""
    id: str | None = Field(default=None, min_length=1)
    """Its id in the file, which becomes `source_id`; null: id, _id, doc_id or docid."""
    url: str | None = Field(default=None, min_length=1)
    """Its address; null: url, metadata.url, meta.url or source_url."""
    date: str | None = Field(default=None, min_length=1)
    """When it was fetched or written, ISO 8601; null: date, timestamp, created or those in metadata."""


class Fields:
    """Reads documents out of rows."""

    def __init__(self, columns: ColumnsConfig) -> None:
        def names(given: str | None, usual: tuple[str, ...]) -> list[list[str]]:
            return [name.split(".") for name in ((given,) if given else usual)]

        self._text, self._id = names(columns.text, TEXT_NAMES), names(columns.id, _ID_NAMES)
        self._url, self._date = names(columns.url, _URL_NAMES), names(columns.date, _DATE_NAMES)
        self._language = names(None, _LANGUAGE_NAMES)
        self._title, self._license = names(None, _TITLE_NAMES), names(None, _LICENSE_NAMES)

    @property
    def top(self) -> set[str]:
        """The names of the columns that may hold something."""
        every = (self._text, self._id, self._url, self._date, self._language, self._title, self._license)
        return {path[0] for paths in every for path in paths}

    @property
    def text_names(self) -> list[str]:
        """The names under which the text is looked for."""
        return [".".join(path) for path in self._text]

    def has_text(self, row: Mapping[str, Any]) -> bool:
        """Return whether a row has a field for the text, whatever is in it."""
        return any(path[0] in row for path in self._text)

    def record(self, place: int, row: Mapping[str, Any]) -> TextRecord | UnreadableRow:
        """Return the document in a row."""
        found = _first(row, self._id)
        source_id = str(found)[:_MAX_ID_CHARS] if isinstance(found, str | int) else None
        text = _first(row, self._text)
        if isinstance(text, bytes):
            try:
                text = text.decode()
            except UnicodeDecodeError:
                return UnreadableRow(place, "undecodable", source_id)
        if not isinstance(text, str):
            return UnreadableRow(place, "no_text" if text is None else "bad_row", source_id)
        url = _first(row, self._url)
        return TextRecord(
            place=place,
            text=text,
            url=url if isinstance(url, str) and len(url) <= _MAX_URL_CHARS else "",
            date=utc_date(_first(row, self._date)),
            language=_word(_first(row, self._language)),
            title=_word(_first(row, self._title)),
            license=_word(_first(row, self._license)),
            source_id=source_id,
        )


def _first(row: Mapping[str, Any], paths: list[list[str]]) -> Any:
    """Return the first value that is there and not null."""
    for path in paths:
        value: Any = row
        for name in path:
            value = value.get(name) if isinstance(value, Mapping) else None
        if value is not None:
            return value
    return None


def _word(value: Any) -> str | None:
    return value[:_MAX_ID_CHARS] if isinstance(value, str) else None
