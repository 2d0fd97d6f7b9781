"""The store: the folder or object-store URL that holds everything a run makes.

Notable: a file appears whole or not at all. It is written to a temporary name on a local disk, synced, then renamed
(local stores) or sent in a single put (object stores). What a killed run leaves behind is a temporary file with its
process in the name, never half a file under a final name; the next run removes it once that process is gone.
"""

import errno
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

import fsspec
from fsspec.implementations.local import LocalFileSystem

from tasks.addresses.secrets_in_addresses import refuse_secret
from tasks.base.errors import PermanentError, UsageError
from tasks.base.foreign_names import is_plain_path, path_below
from tasks.workers.process_name import mark_is_abandoned, process_mark
from tasks.workers.scratch_folder import scratch_folder

MAX_SMALL_FILE_BYTES = 1 << 30
"""Of files that are read whole: records, manifests, lists, logs of training, which is the longest of them."""
_TEMPORARY = re.compile(r"\..+\.([0-9a-f]+-[0-9]+)\.tmp")


@contextmanager
def explaining_failed_writes(where: str) -> Iterator[None]:
    """Turn the operating system's "no space left" and "read-only" into an error that says where and what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise PermanentError(
                f"The disk is full: could not write {where}. What was finished is kept; make room, then run the same "
                "command again and it goes on from there."
            ) from error
        if isinstance(error, PermissionError) or error.errno == errno.EROFS:
            raise PermanentError(
                f"Could not write {where}: {error.strerror or error}. Look at its permissions, or choose a place that "
                "this user can write to."
            ) from error
        raise


class Store:
    """A place for files, by relative path, on any filesystem that fsspec knows.

    `url` is a folder or a URL such as `s3://bucket/prefix` or `memory://name`. Pass the URL between processes, not the
    object. Raises `PermanentError` where the URL's protocol is unknown or its library is not installed.
    """

    def __init__(self, url: str) -> None:
        try:
            refuse_secret(url, "--store (settings.store)")
        except ValueError as error:
            raise UsageError(f"{error}.") from error
        try:
            self.fs, root = fsspec.core.url_to_fs(url)
        except (ValueError, ImportError, OSError) as error:
            raise PermanentError(
                f"The store {url!r} cannot be opened: {error}. Give a folder, or a URL that fsspec knows "
                "(for s3:// install the extra: pip install 'sluice[s3]')."
            ) from error
        self.is_local = isinstance(self.fs, LocalFileSystem)
        self.root = str(Path(root).resolve()) if self.is_local else root.rstrip("/")
        self.url = self.root if self.is_local else url.rstrip("/")

    def require_reachable(self) -> None:
        """Raise PermanentError where this is a file, a bucket of S3 that is not there, or cannot be reached."""
        if self.is_local:
            if Path(self.root).exists() and not Path(self.root).is_dir():
                raise PermanentError(f"The store {self.url} is not a folder: give one, or a new name.")
            return
        is_s3, bucket = hasattr(self.fs, "call_s3"), self.root.partition("/")[0]
        try:
            if is_s3:
                self.fs.call_s3("head_bucket", Bucket=bucket)
            else:
                self.names("")
        except FileNotFoundError as error:
            message = f"The store {self.url}: there is no bucket {bucket!r}; make it, or check its name."
            raise PermanentError(message) from error
        except Exception as error:  # botocore's have no kind in common
            s3 = " (AWS_ACCESS_KEY_ID and the like, or a profile) and AWS_ENDPOINT_URL" if is_s3 else ""
            raise PermanentError(
                f"The store {self.url} cannot be reached: {error} Check the network and the credentials{s3}."
            ) from error

    def full(self, path: str) -> str:
        """Return the path as the filesystem takes it. Raises PermanentError for one that may lead out of the store."""
        if path and not is_plain_path(path):
            raise PermanentError(f"{path[:200]!r} is not a path within the store {self.url}.")
        return f"{self.root}/{path}"

    def location(self, path: str) -> str:
        """Return the path as a person or another program names it: a full path, or a URL."""
        return f"{self.url}/{path}"

    def local(self, path: str) -> Path:
        """Return the path on this machine's disk; only local stores have one."""
        if not self.is_local:
            raise PermanentError(f"{self.url}/{path} is not on a local disk; this step needs a local folder.")
        return Path(self.full(path))

    def exists(self, path: str) -> bool:
        """Return whether a file or folder is there."""
        return bool(self.fs.exists(self.full(path)))

    def size(self, path: str) -> int:
        """Return the size of a file in bytes."""
        return int(self.fs.size(self.full(path)))

    def open(self, path: str) -> BinaryIO:
        """Open a file for reading bytes, seekable."""
        return cast(BinaryIO, self.fs.open(self.full(path), "rb"))

    def read_bytes(self, path: str) -> bytes:
        """Return a small file's whole content. Raises PermanentError for one that no run writes, it is so large."""
        if self.size(path) > MAX_SMALL_FILE_BYTES:
            raise PermanentError(
                f"{self.location(path)} has more than {MAX_SMALL_FILE_BYTES >> 20} MiB, so no run wrote it. Look at "
                "it; if it is damaged delete it, and run again."
            )
        return cast(bytes, self.fs.cat_file(self.full(path)))

    def names(self, folder: str) -> list[str]:
        """Return the base names in a folder, sorted; none where the folder is missing.

        Left out are names that no path within a store has, which others can give to the objects of a shared bucket.
        """
        self.fs.invalidate_cache()
        try:
            entries = self.fs.ls(self.full(folder), detail=False)
        except FileNotFoundError:
            return []
        return sorted(filter(is_plain_path, (str(entry).rstrip("/").rsplit("/", 1)[-1] for entry in entries)))

    def sizes(self, folder: str) -> dict[str, int]:
        """Return the size in bytes of each file in a folder by base name, from one listing."""
        self.fs.invalidate_cache()
        try:
            entries = self.fs.ls(self.full(folder), detail=True)
        except FileNotFoundError:
            return {}
        return {str(entry["name"]).rsplit("/", 1)[-1]: int(entry["size"] or 0) for entry in entries}

    def total_size(self, folder: str) -> int:
        """Return the bytes of all files below a folder; 0 where there is none."""
        self.fs.invalidate_cache()
        return sum(int(entry["size"] or 0) for entry in self.fs.find(self.full(folder), detail=True).values())

    def copy(self, path: str, target: str) -> None:
        """Give a file a second name, whole or not at all: on a disk the same bytes, in an object store a copy.

        Removing or replacing one leaves the other as it is.
        """
        if not self.is_local:
            self.fs.cp_file(self.full(path), self.full(target))
            return
        final = Path(self.full(target))
        temporary = final.with_name(f".{final.name}.{process_mark()}.tmp")
        with explaining_failed_writes(str(final)):
            final.parent.mkdir(parents=True, exist_ok=True)
            try:
                try:
                    temporary.hardlink_to(self.full(path))
                except OSError:  # not every filesystem has links
                    shutil.copyfile(self.full(path), temporary)
                    sync_file(temporary)
                temporary.replace(final)
            finally:
                temporary.unlink(missing_ok=True)

    def remove(self, path: str) -> None:
        """Delete a file, if it is there."""
        if self.exists(path):
            with explaining_failed_writes(self.location(path)):
                self.fs.rm_file(self.full(path))

    def write_bytes(self, path: str, data: bytes) -> None:
        """Write a small file atomically."""
        with self.writing(path) as temporary:
            temporary.write_bytes(data)

    def create(self, path: str, data: bytes) -> bool:
        """Write a small file where none is; return False where there is one. Of several writers one succeeds.

        Unlike all other files of a store, a reader may see it half written.
        """
        try:
            with explaining_failed_writes(self.location(path)):
                if self.is_local:
                    final = Path(self.full(path))
                    final.parent.mkdir(parents=True, exist_ok=True)
                    with final.open("xb") as file:
                        file.write(data)
                else:
                    self.fs.pipe_file(self.full(path), data, mode="create")
        except FileExistsError:
            return False
        return True

    def remove_abandoned(self, folder: str) -> None:
        """Remove the temporary files in a local store's folder whose writers are gone: killed, on this machine."""
        for name in self.names(folder) if self.is_local else ():
            if (found := _TEMPORARY.fullmatch(name)) and mark_is_abandoned(found[1]):
                self.local(f"{folder}/{name}").unlink(missing_ok=True)

    @contextmanager
    def writing(self, path: str) -> Iterator[Path]:
        """Yield a local temporary path to write; on leaving without error it becomes `path`, whole.

        After an error `path` is as it was and the temporary file is removed.
        """
        if self.is_local:
            final = Path(self.full(path))
            temporary = final.with_name(f".{final.name}.{process_mark()}.tmp")
            with explaining_failed_writes(str(final)):
                final.parent.mkdir(parents=True, exist_ok=True)
                try:
                    yield temporary
                    sync_file(temporary)
                    temporary.replace(final)
                finally:
                    temporary.unlink(missing_ok=True)
                sync_folder(final.parent)
        else:
            with scratch_folder("uploads") as folder, explaining_failed_writes(self.location(path)):
                temporary = folder / "part"
                yield temporary
                self._put(temporary, path)

    def download_folder(self, path: str, folder: Path) -> None:
        """Copy a folder of the store to a local folder; local files of the same size are kept.

        Raises PermanentError for a name that would lead out of the local folder.
        """
        inside = f"{self.full(path)}/"
        for name in map(str, self.fs.find(inside[:-1])):
            if name == inside:
                continue  # an object store's mark for the folder itself
            target = path_below(folder, name.removeprefix(inside))
            if not target.exists() or target.stat().st_size != self.fs.size(name):
                target.parent.mkdir(parents=True, exist_ok=True)
                self.fs.get_file(name, str(target))

    def upload_folder(self, folder: Path, path: str, leave: tuple[str, ...] = ()) -> None:
        """Copy a local folder into the store, file by file.

        Left out are locks and temporary files, which begin with a dot, and the folders inside it that `leave` names.
        """
        for file in sorted(p for p in folder.rglob("[!.]*") if p.is_file()):
            inside = file.relative_to(folder)
            if inside.parts[0] not in leave:
                self.upload_file(file, f"{path}/{inside.as_posix()}")

    def upload_file(self, file: Path, path: str) -> None:
        """Copy a local file into the store, whole or not at all."""
        if self.is_local:
            with self.writing(path) as temporary:
                shutil.copyfile(file, temporary)
        else:
            self._put(file, path)

    def _put(self, file: Path, path: str) -> None:
        if self.fs.protocol != "memory":
            self.fs.makedirs(self.fs._parent(self.full(path)), exist_ok=True)
        self.fs.put_file(str(file), self.full(path))


def sync_file(path: Path) -> None:
    """Force a file's bytes to disk, so that a rename never outlives its content."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def sync_folder(path: Path) -> None:
    """Force a folder's entries to disk, so that a rename survives a power cut (where the system can)."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
