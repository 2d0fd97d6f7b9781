"""Full disks: how to recognise one, what to tell its owner, and how to write a file that is never half there.

Notable: the error of a write to an open file does not name the file, and machines often keep cache and models on
different disks. So every write happens inside `writing`, or `written_whole`, which name the file.
"""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Yield a file beside `path` to write, which takes its place once the block has ended without error.

    Makes the folder. A kill or a full disk leaves what was at `path` before.
    """
    temporary = path.with_name(f"{path.name}.tmp")
    try:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            temporary.replace(path)
    finally:
        with suppress(OSError):  # not there any more, or as impossible to remove as to write
            temporary.unlink()


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
