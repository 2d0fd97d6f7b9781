"""Checkpoint folders: their names, the files they list, and whether those are intact. Needs no torch.

Notable: what is not listed is ignored, and so is a folder of any other name. Desktops, notebooks and network disks
leave files of their own everywhere, and people put copies beside what they copy.
"""

import hashlib
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

import xxhash

from model.base.config_loading import json_object

DIGESTS = "digests.json"
"""The xxh3-128 digest of every other file of the checkpoint, by name; written last."""
PROGRESS = "training.json"
METADATA = ".metadata"

_NAME = re.compile(r"step-([0-9]{8,})")
_UNFINISHED = ".tmp"


def checkpoint_name(step: int) -> str:
    """Return the name of the folder of a step's checkpoint."""
    return f"step-{step:08d}"


def unfinished(checkpoint: Path) -> Path:
    """Return where a checkpoint is made before it gets its name."""
    return checkpoint.with_name(checkpoint.name + _UNFINISHED)


def step_of(checkpoint: Path) -> int:
    """Return the step of a checkpoint's folder; -1 for a folder that is no checkpoint."""
    found = _NAME.fullmatch(checkpoint.name)
    return int(found[1]) if found else -1


def checkpoint_folders(folder: Path) -> list[Path]:
    """Return the finished checkpoints in `folder`, whether intact or not, newest first."""
    names = checkpoint_folders_of(path.name for path in folder.glob("step-*"))
    return [folder / name for name in names if (folder / name).is_dir()]


def checkpoint_folders_of(names: Iterable[str]) -> list[str]:
    """Return those of some names that are a finished checkpoint's, newest first."""
    return sorted((name for name in names if step_of(Path(name)) >= 0), key=lambda name: step_of(Path(name)))[::-1]


def unfinished_folders(folder: Path) -> list[Path]:
    """Return what kills have left of checkpoints in `folder`."""
    return [path for path in folder.glob(f"step-*{_UNFINISHED}") if step_of(path.with_suffix("")) >= 0]


def remove_checkpoint(checkpoint: Path) -> None:
    """Remove a checkpoint. Its list goes first, so what a network disk keeps of it for a while is no checkpoint."""
    (checkpoint / DIGESTS).unlink(missing_ok=True)
    shutil.rmtree(checkpoint, ignore_errors=True)


def listed_digests(checkpoint: Path) -> dict[str, str]:
    """Return the digest of each file that a checkpoint lists.

    Raises OSError if the list cannot be read, ValueError if it is not one of the files of a checkpoint.
    """
    listed = json_object(checkpoint / DIGESTS)
    if any(Path(name).name != name or name in ("", "..") for name in listed):
        raise ValueError(f"{DIGESTS} is no list of files and their digests")
    if missing := {PROGRESS, METADATA} - listed.keys():
        raise ValueError(f"{DIGESTS} does not list {' and '.join(sorted(missing))}")
    return listed


def fault_of(checkpoint: Path) -> str | None:
    """Return what is wrong with the files that a checkpoint lists; None if they are intact."""
    try:
        for name, digest in listed_digests(checkpoint).items():
            if digest_of(checkpoint / name) != digest:
                return f"the digest of {name} is wrong"
    except (OSError, ValueError) as error:
        return str(error)
    return None


def digest_of(file: Path) -> str:
    """Return the xxh3-128 of a file."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, xxhash.xxh3_128).hexdigest()  # type: ignore[arg-type]
