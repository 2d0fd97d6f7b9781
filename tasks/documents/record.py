"""A text that somebody else has extracted, or why a row of a file gives none."""

from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True)
class TextRecord:
    """A document of a file, its text as it stands there."""

    place: int
    """Its address in the file: the row from 0; of a WET file the offset of the record in bytes."""
    text: str
    url: str = ""
    date: datetime | None = None
    """In UTC, to the second."""
    language: str | None = None
    """What the file says of its language, unchecked."""
    title: str | None = None
    license: str | None = None
    source_id: str | None = None
    """The id that it has in the file."""


@dataclass(frozen=True, slots=True)
class UnreadableRow:
    """A row that holds no document."""

    place: int
    reason: str
    """bad_row, undecodable, no_text, too_large, decompression_bomb or clipped."""
    source_id: str | None = None


def utc_date(value: object) -> datetime | None:
    """Return a time, or a text in ISO 8601, in UTC to the second; None for anything else."""
    try:
        date = datetime.fromisoformat(value.strip()) if isinstance(value, str) else value
        if not isinstance(date, datetime):
            return None
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).astimezone(UTC).replace(microsecond=0)
    except (ValueError, OverflowError):
        return None
