"""Folders on this machine for files that nobody needs once their process has ended."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tasks.base.private_folder import private_folder
from tasks.workers.process_name import mark_is_abandoned, process_mark


@contextmanager
def scratch_folder(purpose: str) -> Iterator[Path]:
    """Yield a new folder that is removed at the end; those that killed processes left are removed first."""
    all_of_them = private_folder(purpose)
    for entry in all_of_them.iterdir():
        if mark_is_abandoned(entry.name.partition(".")[0]):
            shutil.rmtree(entry, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f"{process_mark()}.", dir=all_of_them) as folder:
        yield Path(folder)
