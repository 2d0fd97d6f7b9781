"""Full disks: how to recognise one, and what to tell its owner.

Notable: the error of a write to an open file does not name the file, and machines often keep cache and models on
different disks. So every write happens inside `writing`, which names the file.
"""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Name `path` in an OSError that leaves the block without a file name."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise


def is_full_disk(error: OSError) -> bool:
    """Return whether the disk, or the owner's quota on it, was full."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


def full_disk_message(error: OSError) -> str:
    """Say what was not written, what is safe, and what to do."""
    file = error.filename2 or error.filename or "a file"  # of a copy, filename is the source
    return (
        f"cannot write {file}: {error.strerror}; the last good checkpoint is intact, make room and start the same "
        "command again to go on from it"
    )


def system_error_in(error: Exception, path: Path) -> OSError | None:
    """Return the OSError that a library written in Rust reported as text; None if it reported something else."""
    found = re.search(r"\(os error (\d+)\)", str(error))
    return OSError(int(found[1]), os.strerror(int(found[1])), str(path)) if found else None
