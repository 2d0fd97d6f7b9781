"""The exported model of a store: where it is, and how programs of the model half are run on it.

Notable: the model half is started as a program, so this runs where torch is installed and says so where it is not.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from flows.store.run_record import newest_runs
from tasks.base.errors import PermanentError, UsageError
from tasks.base.safe_path import safe_path
from tasks.dataset.store import Store


def exported_model(store: Store) -> str:
    """Return the newest run's export folder, below the store. Raises `PermanentError` where no run has one."""
    for record in newest_runs(store):
        stage = record.stages.get("export")
        folder = str(stage.summary["folder"]) if stage and stage.summary else None
        if folder and store.exists(folder):
            return folder
    raise PermanentError(f"The store {store.url} holds no exported model yet: `sluice run` ends with one.")


@contextmanager
def local_model(store: Store) -> Iterator[Path]:
    """Yield the folder of the exported model on this machine's disk."""
    folder = exported_model(store)
    if store.is_local:
        yield store.local(folder)
        return
    with TemporaryDirectory(prefix="sluice-model-") as copy:
        store.download_folder(folder, Path(copy))
        yield Path(copy)


def run_model_program(module: str, store: Store, arguments: Sequence[str]) -> int:
    """Run a program of the model half on the exported model, on this terminal; return its exit code."""
    if importlib.util.find_spec("torch") is None:
        raise PermanentError("This needs the model half: pip install 'sluice[train]'.")
    with local_model(store) as folder:
        command = [sys.executable, "-m", module, "--model", str(folder), *arguments]
        return subprocess.run(command, env=os.environ | safe_path(), check=False).returncode


def copy_model(store: Store, destination: Path) -> Path:
    """Copy the exported model to a folder that is not there yet or is empty; return it."""
    if destination.exists() and any(destination.iterdir()):
        raise UsageError(f"{destination} is not empty; name a new folder.")
    with local_model(store) as folder:
        shutil.copytree(folder, destination, dirs_exist_ok=True)
    return destination
