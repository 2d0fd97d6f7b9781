"""Checkpoints are sent to the store while training runs, and fetched on a machine that has none of them.

Notable:
- Only for stores that are not on this machine's disk. A checkpoint's digests.json is sent last and removed first, so
  one that has it is whole; the metrics log goes before it, so that it never lacks a line that the checkpoint follows.
- What is fetched is checked against its digests, and a damaged checkpoint is passed over for the one before it.
- The newer of this machine's and the store's checkpoint is the one training goes on from.
- A failing store does not stop training: sending is tried again until the end, and only then does a failure count.
"""

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flows.prepare.planned_run import Logger
from model.checkpoints.folders import DIGESTS, checkpoint_folders, fault_of, listed_digests, step_of, unfinished
from tasks.base.errors import PermanentError
from tasks.dataset.store import Store

_METRICS = "metrics.jsonl"
_POLL_SECONDS = 0.5
"""Between two looks at this machine's disk; the store is asked only when something has changed there."""
_RETRY_SECONDS = 30.0


class CheckpointTransfer:
    """Copies checkpoints between a model's `folder` on this machine's disk and its `path` in the store."""

    def __init__(self, store: Store, path: str, folder: Path, logger: Logger) -> None:
        self._store, self._path, self._logger = store, path, logger
        self._folder, self._checkpoints = folder, folder / "checkpoints"

    def restore(self) -> str | None:
        """Fetch the store's newest intact checkpoint if it is newer than any here; return its name, or None.

        Raises PermanentError if the store has checkpoints, and none is intact there or here.
        """
        here = next((step_of(found) for found in checkpoint_folders(self._checkpoints) if fault_of(found) is None), -1)
        sent = self._sent()
        for name in reversed(sent):
            if _step(name) <= here:
                return None
            if self._fetch(name):
                if self._store.exists(f"{self._path}/{_METRICS}"):
                    (self._folder / _METRICS).write_bytes(self._store.read_bytes(f"{self._path}/{_METRICS}"))
                return name
            self._logger.warning(
                "checkpoint %s is damaged and passed over", self._store.location(f"{self._path}/checkpoints/{name}")
            )
        if sent and here < 0:
            raise PermanentError(
                f"All checkpoints in {self._store.location(f'{self._path}/checkpoints')} are damaged: put an intact "
                "copy of one back, or remove them to train from the start."
            )
        return None

    def send(self) -> None:
        """Send what the store lacks of the checkpoints here, and remove there what is no longer kept here.

        One of the same name but other content is replaced: training went back before it and came to its step anew.
        """
        here, sent = _whole(self._checkpoints), self._sent()
        for name in here:
            if name in sent:
                if self._is_the_same(name):
                    continue
                self._remove(name)
            self._send(name)
        for name in sent if here else ():
            if name not in _whole(self._checkpoints):
                self._remove(name)

    @contextmanager
    def sending(self) -> Iterator[None]:
        """Send checkpoints as they come, while the block runs and once more after it."""
        ended = threading.Event()

        def send_on() -> None:
            seen: list[str] = []
            while not ended.wait(_POLL_SECONDS):
                here = _whole(self._checkpoints)
                if here != seen:
                    if self._try_to_send():
                        seen = here
                    else:
                        ended.wait(_RETRY_SECONDS)

        sender = threading.Thread(target=send_on, name="checkpoint transfer", daemon=True)
        sender.start()
        try:
            yield
        except BaseException:
            ended.set()
            sender.join()
            self._try_to_send()
            raise
        ended.set()
        sender.join()
        self.send()

    def _try_to_send(self) -> bool:
        """Return whether sending succeeded."""
        try:
            self.send()
        except Exception as error:  # each kind of store has its own
            self._logger.warning("checkpoints wait to be sent to %s: %s", self._store.url, error)
            return False
        return True

    def _sent(self) -> list[str]:
        """Return the names of the whole checkpoints in the store, oldest first."""
        place = f"{self._path}/checkpoints"
        names = sorted((name for name in self._store.names(place) if step_of(Path(name)) >= 0), key=_step)
        return [name for name in names if self._store.exists(f"{place}/{name}/{DIGESTS}")]

    def _is_the_same(self, name: str) -> bool:
        """Return whether the store's checkpoint of this name is the one here, or the one here has gone meanwhile."""
        try:
            here = (self._checkpoints / name / DIGESTS).read_bytes()
        except FileNotFoundError:
            return True
        return self._store.read_bytes(f"{self._path}/checkpoints/{name}/{DIGESTS}") == here

    def _send(self, name: str) -> None:
        folder, place = self._checkpoints / name, f"{self._path}/checkpoints/{name}"
        try:
            for file in sorted(listed_digests(folder)):
                self._store.upload_file(folder / file, f"{place}/{file}")
            self._store.upload_file(self._folder / _METRICS, f"{self._path}/{_METRICS}")
            self._store.upload_file(folder / DIGESTS, f"{place}/{DIGESTS}")
        except FileNotFoundError:
            # Training has just removed it for newer ones, which are sent instead.
            if folder.exists():
                raise
            self._remove(name)

    def _remove(self, name: str) -> None:
        place = f"{self._path}/checkpoints/{name}"
        self._store.remove(f"{place}/{DIGESTS}")
        for file in self._store.names(place):
            self._store.remove(f"{place}/{file}")

    def _fetch(self, name: str) -> bool:
        """Fetch a checkpoint, whole or not at all; return whether it matched its digests."""
        place, final = f"{self._path}/checkpoints/{name}", self._checkpoints / name
        temporary = unfinished(final)
        shutil.rmtree(temporary, ignore_errors=True)
        self._store.download_folder(place, temporary)
        if fault_of(temporary) is not None:
            shutil.rmtree(temporary)
            return False
        shutil.rmtree(final, ignore_errors=True)
        temporary.rename(final)
        return True


def _whole(checkpoints: Path) -> list[str]:
    """Return the names of the finished checkpoints in a folder, oldest first."""
    return [found.name for found in reversed(checkpoint_folders(checkpoints)) if _has_list(found)]


def _has_list(checkpoint: Path) -> bool:
    try:
        return bool(listed_digests(checkpoint))
    except (OSError, ValueError):
        return False


def _step(name: str) -> int:
    return step_of(Path(name))
