"""Folder locks: one training at a time in a model folder, one builder at a time of a cache folder.

Notable: two trainings in one folder would remove each other's unfinished checkpoints and mix their metrics. The lock is
the kernel's (flock), so it ends with the process, however that ends; the file `.lock` stays and means nothing.
"""

import errno
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from model.base.errors import BadInput

_FILE = ".lock"
_UNSUPPORTED = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)


@contextmanager
def locked_folder(folder: Path) -> Iterator[None]:
    """Hold the lock of `folder`, which is created if missing, while the block runs.

    Where locks are not supported the block runs without one, with a warning on stderr. Raises BadInput if another
    process, or another block of this one, holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / _FILE).open("a") as file:
        try:
            supported = _lock(file, wait=False)
        except BlockingIOError as error:
            raise BadInput(f"another run is training in {folder}; wait for it or end it") from error
        if not supported:
            print(f"warning: {folder} cannot be locked; start no second run in it", file=sys.stderr)
        yield


@contextmanager
def turn_in(folder: Path) -> Iterator[bool]:
    """Wait until no other process is in such a block for `folder`, whose parent is created if missing.

    Yields whether that is certain: without locks no process waits, so several may be in the block.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Beside the folder, not in it: an existing folder may mean a finished one.
    with folder.with_name(f".{folder.name}{_FILE}").open("a") as file:
        yield _lock(file, wait=True)


def _lock(file: IO[str], wait: bool) -> bool:
    """Take the lock; return False where locks are not supported. Raises BlockingIOError unless it waits."""
    try:
        import fcntl  # only POSIX systems have it

        fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except ImportError:
        return False
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
        return False
    return True
