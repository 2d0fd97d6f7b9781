"""Which class reads from an address: HTTP, or anything that fsspec knows. Another protocol is a line here."""

from tasks.sources.file_source import FileSource
from tasks.sources.http_source import HttpSource
from tasks.sources.transfer import ByteSource, TransferConfig


def byte_source(base: str, transfer: TransferConfig) -> ByteSource:
    """Return the source at `base`: http(s):// a mirror, any other URL through fsspec, anything else a folder."""
    if base.startswith(("http://", "https://")):
        return HttpSource(base.rstrip("/"), transfer)
    return FileSource(base.rstrip("/") or "/", transfer)
