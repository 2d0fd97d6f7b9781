"""The digest of a record too long to be held in memory, from its bytes as they stream by."""

from tasks.warc.header_lines import HeaderLines
from tasks.warc.http_payload import MAX_HTTP_HEAD_BYTES, hash_and_value, split_http


class StreamedDigest:
    """Compares a record's digest with its bytes: of a response the payload's, as stored, else the block's."""

    def __init__(self, headers: HeaderLines, head_bytes: int, is_response: bool) -> None:
        self._found = hash_and_value(headers.get(f"WARC-{'Payload' if is_response else 'Block'}-Digest") or "")
        self._unread = head_bytes  # of the record's own head, which no digest covers
        self._http_head: bytearray | None = bytearray() if is_response else None

    def update(self, data: memoryview) -> None:
        """Take the record's next bytes, its head included."""
        skipped = min(self._unread, len(data))
        self._unread -= skipped
        data = data[skipped:]
        if self._found is None or not data:
            return
        if self._http_head is not None:
            self._http_head += data
            if len(self._http_head) < MAX_HTTP_HEAD_BYTES:
                return
            data, self._http_head = split_http(memoryview(bytes(self._http_head)))[1], None
        self._found[0].update(data)

    def agrees(self) -> bool | None:
        """Whether the digest is that of all bytes taken; None where there is none, or none that is known."""
        return self._found[0].digest() == self._found[1] if self._found else None
