"""Leases: of all the runs on a store, one at a time builds a dataset.

Notable:
- A lease is a numbered file under `leases/`, and the highest number is in force. It is taken by creating the next
  number, which only one of several can do (exclusive creation on a disk, `If-None-Match` in S3).
- No clocks are compared. Whoever waits sees that a holder's `beat` has not changed for `expiry_seconds` of its own
  clock, and takes over; a holder on the same machine whose process is gone is not waited for at all.
- A holder that slept through its expiry finds a higher number than its own, and `check` ends its work. Until then two
  runs may write the same parts; they write equal bytes, each under a temporary name of its own.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

from tasks.base.config import Config
from tasks.base.errors import PermanentError, SluiceError
from tasks.dataset.store import Store
from tasks.workers.process_name import ProcessName

BEAT_SECONDS = 10.0
EXPIRY_SECONDS = 60.0
_POLL_SECONDS = 1.0


class Holder(Config):
    """The run that builds a dataset."""

    run: str
    """Its name in the store's `runs/`."""
    process: ProcessName
    flow_run: str | None = None
    """Prefect's id of it."""

    @property
    def in_words(self) -> str:
        """Its name for a person."""
        return f"run {self.run} (process {self.process.pid} on {self.process.host})"


class _Lease(Config):
    """The content of a lease's file."""

    holder: Holder | None = None
    """None where the file cannot be read: it is being written, or its writer was killed then."""
    beat: int = 0
    """Raised while the holder is alive."""
    released: bool = False

    @property
    def is_free(self) -> bool:
        """Whether it can be taken over at once."""
        return self.released or (self.holder is not None and self.holder.process.is_gone)

    @property
    def in_words(self) -> str:
        """Its holder's name for a person."""
        return self.holder.in_words if self.holder else "another run"


class Leases:
    """What one run holds. A context manager: it keeps the leases alive, and gives all back at its end."""

    def __init__(
        self,
        store: Store,
        holder: Holder,
        on_takeover: Callable[[Holder], None] = lambda holder: None,
        beat_seconds: float = BEAT_SECONDS,
        expiry_seconds: float = EXPIRY_SECONDS,
    ) -> None:
        self._store = store
        self._holder = holder
        self._on_takeover = on_takeover
        self._beat_seconds = beat_seconds
        self._expiry_seconds = expiry_seconds
        self._held: dict[str, tuple[int, _Lease]] = {}
        self._lost: dict[str, _Lease] = {}
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._beating = threading.Thread(target=self._keep_beating, name="leases", daemon=True)

    def __enter__(self) -> "Leases":
        self._beating.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._beating.join()

    @contextlib.contextmanager
    def holding(self, dataset: str, on_wait: Callable[[str], None] | None = None) -> Iterator[None]:
        """Hold the lease of a dataset, such as `extract/0a1b`, during the block.

        While other runs hold it, this one waits, and calls `on_wait` with the name of each. Raises PermanentError where
        it would have to wait and `on_wait` is None, and on leaving where the lease was lost meanwhile.
        """
        self._take(dataset, on_wait)
        try:
            yield
            self.check()
        finally:
            self._give_back(dataset)

    def check(self) -> None:
        """Raise PermanentError where another run has taken over a lease of this one."""
        for dataset, other in list(self._lost.items()):
            raise PermanentError(
                f"{other.in_words} has taken over {dataset}, since this run was not heard of for"
                f" {self._expiry_seconds:g} s. Run again: what was finished is kept."
            )

    def _take(self, dataset: str, on_wait: Callable[[str], None] | None) -> None:
        seen: tuple[int, _Lease | None] | None = None
        since = time.monotonic()
        while True:
            number, lease = self._newest(dataset)
            if lease is None or lease.is_free or time.monotonic() - since >= self._expiry_seconds:
                if self._create(dataset, number + 1):
                    if lease and not lease.released and lease.holder:
                        self._on_takeover(lease.holder)
                    return
                continue
            if on_wait is None:
                raise PermanentError(
                    f"{lease.in_words} is building {dataset} in {self._store.url}: run again when it has ended, or"
                    " without --no-wait (settings.when_busy: wait), and this run waits for it."
                )
            if (number, lease) != seen:
                if seen is None or seen[0] != number:
                    on_wait(lease.in_words)
                seen, since = (number, lease), time.monotonic()
            time.sleep(_POLL_SECONDS)

    def _create(self, dataset: str, number: int) -> bool:
        """Take the lease of this number; return False where another run was faster."""
        mine = _Lease(holder=self._holder)
        if not self._store.create(_path(dataset, number), _content(mine)):
            return False
        with self._lock:
            self._held[dataset] = (number, mine)
        for earlier in self._numbers(dataset):
            if earlier < number:
                self._store.remove(_path(dataset, earlier))
        return True

    def _newest(self, dataset: str) -> tuple[int, _Lease | None]:
        """Return the highest number and its lease; (0, None) where nobody has ever had one."""
        while numbers := self._numbers(dataset):
            number = max(numbers)
            with contextlib.suppress(FileNotFoundError):  # removed since, for a newer one
                data = self._store.read_bytes(_path(dataset, number))
                try:
                    return number, _Lease.model_validate_json(data)
                except ValueError:
                    return number, _Lease()
        return 0, None

    def _numbers(self, dataset: str) -> list[int]:
        names = (name.removesuffix(".json") for name in self._store.names(_folder(dataset)) if name.endswith(".json"))
        return [int(name) for name in names if name.isdecimal()]

    def _give_back(self, dataset: str) -> None:
        with self._lock:
            number, lease = self._held.pop(dataset)
            if not self._lost.pop(dataset, None):
                # Otherwise it expires. The file stays, so that the numbers go on.
                with contextlib.suppress(OSError):
                    content = _content(lease.model_copy(update={"released": True}))
                    self._store.write_bytes(_path(dataset, number), content)

    def _keep_beating(self) -> None:
        while not self._ended.wait(self._beat_seconds):
            with self._lock:
                for dataset in self._held:
                    # A store that does not answer now may do so at the next beat; expiry allows for several.
                    with contextlib.suppress(OSError, SluiceError):
                        self._beat(dataset)

    def _beat(self, dataset: str) -> None:
        number, lease = self._held[dataset]
        newest, other = self._newest(dataset)
        if other and newest > number:
            self._lost[dataset] = other
        elif dataset not in self._lost:
            lease = lease.model_copy(update={"beat": lease.beat + 1})
            self._store.write_bytes(_path(dataset, number), _content(lease))
            self._held[dataset] = (number, lease)


def _folder(dataset: str) -> str:
    return f"leases/{dataset}"


def _path(dataset: str, number: int) -> str:
    return f"{_folder(dataset)}/{number}.json"


def _content(lease: _Lease) -> bytes:
    return lease.model_dump_json().encode()
