"""Names of files that someone else chose, such as the keys of a shared bucket: which of them may become local paths."""

import re
from pathlib import Path

from tasks.base.errors import PermanentError

MAX_SEGMENT_BYTES = 255  # the longest name of a file or folder on common file systems
_UNSAFE = re.compile(r"[\\\x00-\x1f\x7f\ud800-\udfff]|\A[A-Za-z]:")


def is_plain_path(name: str) -> bool:
    """Return whether a relative path with slashes stays below any folder, on any system, and can be a file's name."""
    return not _UNSAFE.search(name) and all(
        segment not in ("", ".", "..") and len(segment.encode()) <= MAX_SEGMENT_BYTES for segment in name.split("/")
    )


def path_below(folder: Path, name: str) -> Path:
    """Return where the file `name` lies in `folder`. Raises PermanentError where that would be outside of it."""
    path = folder / name
    if not is_plain_path(name) or not path.resolve().is_relative_to(folder.resolve()):
        raise PermanentError(
            f"{name[:200]!r} is not the name of a file below {folder}: it is not written. Look at who can write to the"
            " place that it comes from."
        )
    return path
