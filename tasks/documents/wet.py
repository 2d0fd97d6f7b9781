"""Read a WET file: the texts that Common Crawl extracts itself, a `conversion` record each."""

from collections.abc import Iterator
from typing import BinaryIO

from tasks.base.language_codes import THREE_LETTERS
from tasks.documents.record import TextRecord, UnreadableRow, utc_date
from tasks.warc.content import NotAWarc, WarcContent
from tasks.warc.framing import RawRecord, RecordFramer, target_url
from tasks.warc.limits import ReadLimits

CONVERSION = "conversion"
_TWO_LETTERS = {three: two for two, three in THREE_LETTERS.items()}


def read_wet(stream: BinaryIO) -> Iterator[TextRecord | UnreadableRow]:
    """Yield an item for each text, and for what is damaged. Raises NotAWarc where the file is something else."""
    limits = ReadLimits()
    framer = RecordFramer(WarcContent(stream, limits), limits)
    for record in framer.records():
        if not isinstance(record, RawRecord):
            yield UnreadableRow(record.offset, record.reason)
        elif record.kind == CONVERSION:
            yield _text(record)
    if not framer.heads:
        raise NotAWarc("this is not a WET file: no record could be found in it; fetch the file again")


def _text(record: RawRecord) -> TextRecord | UnreadableRow:
    if record.doubt:
        return UnreadableRow(record.offset, record.doubt.reason)
    try:
        text = bytes(record.block).decode()
    except UnicodeDecodeError:
        return UnreadableRow(record.offset, "undecodable")
    named = (record.headers.get("WARC-Identified-Content-Language") or "").partition(",")[0].strip()
    return TextRecord(
        place=record.offset,
        text=text,
        url=target_url(record.headers),
        date=utc_date(record.headers.get("WARC-Date")),
        language=_TWO_LETTERS.get(named, named) or None,
    )
