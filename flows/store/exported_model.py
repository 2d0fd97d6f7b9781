"""The exported model of a store: where it is, and how programs of the model half are run on it.

Notable: the model half is started as a program, so this runs where torch is installed and says so where it is not.
"""

import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from flows.launch.packages import require_packages
from flows.store.new_folder import new_folder
from flows.store.run_record import RunRecord, newest_runs
from tasks.base.errors import PermanentError
from tasks.base.safe_path import safe_path
from tasks.dataset.store import Store
from tasks.workers.scratch_folder import scratch_folder


def exported_model(store: Store) -> str:
    """Return the newest run's export folder, below the store. Raises `PermanentError` where no run has one."""
    return exporting_run(store)[1]


def exporting_run(store: Store) -> tuple[RunRecord, str]:
    """Return the newest run that has an exported model, and its folder below the store.

    Raises `PermanentError` where no run has one.
    """
    for record in newest_runs(store):
        stage = record.stages.get("export")
        folder = str(stage.summary["folder"]) if stage and stage.summary else None
        if folder and store.exists(folder):
            return record, folder
    raise PermanentError(f"The store {store.url} holds no exported model yet: `sluice run` ends with one.")


@contextmanager
def local_model(store: Store, folder: str) -> Iterator[Path]:
    """Yield the folder of an exported model, given below the store, on this machine's disk."""
    if store.is_local:
        yield store.local(folder)
        return
    with scratch_folder("models") as copy:
        store.download_folder(folder, copy)
        yield copy


def run_model_program(module: str, store: Store, arguments: Sequence[str]) -> int:
    """Run a program of the model half on the exported model, on this terminal; return its exit code."""
    require_packages("torch")
    with local_model(store, exported_model(store)) as folder:
        return run_on_model(module, folder, arguments)


def run_on_model(module: str, folder: Path, arguments: Sequence[str]) -> int:
    """Run a program of the model half on an exported model's folder, on this terminal; return its exit code."""
    require_packages("torch")
    command = [sys.executable, "-m", module, "--model", str(folder), *arguments]
    with _leaving_signals_to_the_program():
        process = subprocess.Popen(command, env=os.environ | safe_path())
        signal.signal(signal.SIGTERM, lambda number, frame: process.send_signal(number))
        return process.wait()


@contextmanager
def _leaving_signals_to_the_program() -> Iterator[None]:
    """Let the program that runs on this terminal say what Ctrl-C means; restore both signals' meanings at the end.

    A terminal sends Ctrl-C to both processes. To ignore it here would make the program ignore it as well.
    """
    before = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def copying_model(store: Store, folder_in_store: str, destination: Path) -> Iterator[Path]:
    """Copy an exported model to a new folder, which becomes `destination` once the block has ended without error.

    The files get the modes of any new file, not those that they have in the store. Raises `UsageError` where
    `destination` is not empty, `PermanentError` where something in the store leads out of it.
    """
    with new_folder(destination) as temporary:
        with local_model(store, folder_in_store) as folder:
            if store.is_local:
                _refuse_links(store, folder)
            for path in sorted(folder.rglob("*")):  # folders before what is in them
                target = temporary / path.relative_to(folder)
                target.mkdir() if path.is_dir() else shutil.copyfile(path, target)
        yield temporary


def _refuse_links(store: Store, folder: Path) -> None:
    """Refuse a folder that is elsewhere or has links or devices in it: a store may have been somebody else's."""
    inside = folder.resolve().is_relative_to(store.root)
    for path in [folder, *folder.rglob("*")] if inside else [folder]:
        mode = path.stat(follow_symlinks=False).st_mode
        if not inside or not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            raise PermanentError(f"{path} is not a file or a folder of the store: it is not copied.")
