"""What a full disk looks like, and what to tell its owner.

Notable: the error of a write to an open file does not name the file, and machines often keep cache and models on
different disks. Whoever writes names the file with `writing`.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Gives an OSError that leaves the block without a file's name the name `path`."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise


def is_full_disk(error: OSError) -> bool:
    """Whether there was no room, or none left within the owner's quota."""
    return error.errno in _FULL


def full_disk_message(error: OSError) -> str:
    """What was not written, what is safe, and what to do."""
    file = error.filename2 or error.filename or "a file"  # a copy's source stands first
    return (
        f"cannot write {file}: {error.strerror}; the last good checkpoint is intact, make room and start the same "
        "command again to go on from it"
    )


def system_error_in(error: Exception, path: Path) -> OSError | None:
    """The OSError about `path` that a library written in Rust reported as text; None if it reported something else."""
    found = re.search(r"\(os error (\d+)\)", str(error))
    return OSError(int(found[1]), os.strerror(int(found[1])), str(path)) if found else None
