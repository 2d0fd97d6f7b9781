"""A folder that a user names for what leaves a store: there whole or not at all."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tasks.base.errors import UsageError
from tasks.workers.process_name import mark_is_abandoned, process_mark


@contextmanager
def new_folder(destination: Path) -> Iterator[Path]:
    """Yield a folder beside `destination` that takes its place once the block has ended without error.

    What killed processes left beside it is removed first. Raises `UsageError` where `destination` is not empty.
    """
    if destination.exists() and not (destination.is_dir() and not any(destination.iterdir())):
        raise UsageError(f"{destination} is not an empty folder; name a new one.")
    whole = destination.absolute()
    whole.parent.mkdir(parents=True, exist_ok=True)
    for abandoned in _abandoned_beside(whole):
        shutil.rmtree(abandoned, ignore_errors=True)
    temporary = whole.with_name(f".{whole.name}.{process_mark()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)  # a process of an earlier container may have had the same mark
    temporary.mkdir()
    try:
        yield temporary
        if not whole.exists():
            temporary.rename(whole)
        else:  # it may be the current folder, or a disk of its own
            for item in sorted(temporary.iterdir()):
                item.rename(whole / item.name)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _abandoned_beside(whole: Path) -> Iterator[Path]:
    named = re.compile(rf"\.{re.escape(whole.name)}\.([0-9a-f]+-[0-9]+)\.tmp")
    for path in whole.parent.iterdir():
        if (found := named.fullmatch(path.name)) and mark_is_abandoned(found[1]) and not path.is_symlink():
            yield path
