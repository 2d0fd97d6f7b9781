"""Where the bytes of a crawl come from: an HTTP mirror, an object store or a folder, behind one way of reading.

Notable: every request to another machine keeps to the limits that all workers share (`tasks.sources.rate_limits`), and each
connection is one of them as long as it is open. The libraries below retry nothing by themselves, since they would do
so alone.
"""

from __future__ import annotations

import re

from tasks.sources.file_source import FileSource
from tasks.sources.http_source import HttpSource
from tasks.sources.transfer import ByteSource, TransferConfig


def byte_source(base: str, transfer: TransferConfig) -> ByteSource:
    """The source at `base`: http(s):// a mirror, any other URL through fsspec, anything else a folder."""
    if re.match("https?://", base):
        return HttpSource(base.rstrip("/"), transfer)
    return FileSource(base.rstrip("/") or "/", transfer)
