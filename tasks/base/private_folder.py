"""Folders in the system's temporary folder, which other users of the machine can write to as well."""

import os
import stat
import tempfile
from pathlib import Path

from tasks.base.errors import PermanentError


def private_folder(purpose: str) -> Path:
    """Return this user's folder for a purpose, the same for all runs. Raises PermanentError where it is another's."""
    folder = Path(tempfile.gettempdir()) / f"sluice-{purpose}-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise PermanentError(f"{folder} is not this user's own folder: remove it, or set TMPDIR to another place.")
    return folder
