"""The lock of a model folder: one training at a time.

Notable: two trainings of one folder would remove each other's unfinished checkpoints and mix their metrics. The lock is
the kernel's (flock), so it ends with the process, however that ends; the file `.lock` itself stays and means nothing.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from model.errors import BadInput

_FILE = ".lock"
_UNSUPPORTED = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)


@contextmanager
def locked_folder(folder: Path) -> Iterator[None]:
    """Holds the lock of `folder`, which is made where it is missing, for the length of the block.

    Where the system or the file system knows no locks the block runs without one; the latter is said on stderr.

    Raises:
        BadInput: another process, or another block of this one, holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / _FILE, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        _lock(descriptor, folder)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, folder: Path) -> None:
    try:
        import fcntl  # only POSIX systems have it
    except ImportError:
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise BadInput(f"another run is training in {folder}; wait for it or end it") from error
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
        print(f"warning: {folder} cannot be locked ({error.strerror}); start no second run in it", file=sys.stderr)
