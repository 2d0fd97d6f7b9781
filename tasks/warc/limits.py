"""How much of a record is read."""

from pydantic import Field

from tasks.base.config import Config


class ReadLimits(Config):
    """How much of a record is read."""

    max_record_bytes: int = Field(default=64 << 20, gt=0)
    """Longest response record that is read, in bytes as unpacked from the archive; a longer one is `too_large`."""
    max_page_bytes: int = Field(default=64 << 20, gt=0)
    """Longest page, in bytes after its content coding is undone; a longer one is `too_large`."""
    max_inflation: int = Field(default=250, gt=1)
    """Bytes out for each byte in above which a gzip member that passes `max_record_bytes` is taken for a bomb; deflate
    reaches 1,032, web pages seldom 100."""
    max_decoding_seconds: float | None = Field(default=None, gt=0)
    """Longest decoding of one page, in seconds of processor time; a page that takes longer is `decoding_timeout`.
    None: no limit. With one, reading is for the main thread only (see `tasks.base.deadline`)."""
