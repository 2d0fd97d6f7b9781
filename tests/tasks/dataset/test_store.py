"""The store: whole files or none, on a disk, in memory and on an S3-compatible server."""

import errno
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from fsspec.implementations import memory

from tasks.base.errors import PermanentError
from tasks.dataset.store import Store, explaining_failed_writes
from tests.conftest import ROOT


def test_a_bucket_that_is_not_there_is_said_so(s3_bucket: str) -> None:
    Store(s3_bucket).require_reachable()
    with pytest.raises(PermanentError, match=r"there is no bucket 'no-such-bucket'"):
        Store("s3://no-such-bucket/store").require_reachable()


def test_a_server_that_does_not_answer_is_one_sentence(s3_bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from s3fs import S3FileSystem

    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    S3FileSystem.clear_instance_cache()
    try:
        with pytest.raises(PermanentError, match=r"^The store s3://.* cannot be reached: .*AWS_ENDPOINT_URL\.$"):
            Store(s3_bucket).require_reachable()
    finally:
        S3FileSystem.clear_instance_cache()


@pytest.mark.parametrize("address", ["http://127.0.0.1:9/store", "ftp://127.0.0.1:9/store"])
def test_another_server_that_does_not_answer_is_one_sentence_too(address: str) -> None:
    with pytest.raises(PermanentError, match=r"^The store .* cannot be (reached|opened): [^\n]*$"):
        Store(address).require_reachable()


def test_a_file_is_no_store(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PermanentError, match="is not a folder"):
        Store(str(tmp_path / "file")).require_reachable()
    Store(str(tmp_path / "new")).require_reachable()
    Store(f"memory://{tmp_path.name}").require_reachable()


def test_what_is_written_is_read_back(store: Store) -> None:
    store.write_bytes("a/b/file.json", b"{}")
    assert store.read_bytes("a/b/file.json") == b"{}"
    assert store.exists("a/b/file.json")
    assert store.size("a/b/file.json") == 2
    assert store.names("a/b") == ["file.json"]
    with store.open("a/b/file.json") as file:
        assert file.read(1) == b"{"


def test_a_missing_folder_has_no_names(store: Store) -> None:
    assert store.names("nothing/here") == []
    assert not store.exists("nothing/here")


def test_an_error_while_writing_leaves_the_old_file(store: Store) -> None:
    store.write_bytes("file", b"old")
    with pytest.raises(RuntimeError), store.writing("file") as temporary:
        temporary.write_bytes(b"half")
        raise RuntimeError
    assert store.read_bytes("file") == b"old"
    assert store.names("") == ["file"]


def test_folders_travel_both_ways(store: Store, tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "deep").mkdir(parents=True)
    (source / "deep" / "one").write_bytes(b"1")
    (source / "two").write_bytes(b"22")
    store.upload_folder(source, "models/m")
    store.download_folder("models/m", tmp_path / "copy")
    copied = {
        p.relative_to(tmp_path / "copy").as_posix(): p.read_bytes()
        for p in (tmp_path / "copy").rglob("*")
        if p.is_file()
    }
    assert copied == {"deep/one": b"1", "two": b"22"}


HOSTILE_NAMES = [
    "../out",
    "a/../../out",
    "a//b",
    "./a",
    "..\\out",
    "C:\\out",
    "C:/out",
    "/out",
    "a/..",
    "nul\x00",
    "line\nend",
    "long" * 100,
]


@pytest.mark.parametrize("key", HOSTILE_NAMES)
def test_a_name_that_leads_out_of_the_folder_is_not_written(tmp_path: Path, key: str) -> None:
    store = Store(f"memory://{tmp_path.name}")
    memory.MemoryFileSystem.store[f"/{tmp_path.name}/models/m/{key}"] = file = memory.MemoryFile(path=key)
    file.write(b"hostile")
    folder = tmp_path / "deep" / "copy"
    with pytest.raises(PermanentError, match="not the name of a file below"):
        store.download_folder("models/m", folder)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_key_of_a_bucket_that_leads_out_of_the_folder_is_not_written(s3_bucket: str, tmp_path: Path) -> None:
    store = Store(s3_bucket)
    store.fs.pipe_file(f"{store.root}/models/m/../../../out", b"hostile")
    with pytest.raises(PermanentError, match=r"'../../../out' is not the name"):
        store.download_folder("models/m", tmp_path / "a" / "b" / "c")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_link_in_the_local_folder_is_not_followed(tmp_path: Path) -> None:
    store = Store(f"memory://{tmp_path.name}")
    store.write_bytes("models/m/a/file", b"hostile")
    (tmp_path / "copy").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "copy" / "a").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PermanentError, match="not the name of a file below"):
        store.download_folder("models/m", tmp_path / "copy")
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.parametrize("path", HOSTILE_NAMES)
def test_no_path_leads_out_of_the_store(store: Store, path: str) -> None:
    for use in (store.full, store.read_bytes, store.exists, store.remove):
        with pytest.raises(PermanentError, match="not a path within the store"):
            use(path)
    with pytest.raises(PermanentError, match="not a path within the store"):
        store.write_bytes(path, b"")


def killed_while_writing(url: str, path: str) -> None:
    """Let another process write to the store and be killed in the middle of it."""
    code = (
        "import os, signal, sys; from tasks.dataset.store import Store\n"
        "with Store(sys.argv[1]).writing(sys.argv[2]) as temporary:\n"
        "    temporary.write_bytes(b'half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", code, url, path], cwd=ROOT, check=False).returncode == -signal.SIGKILL


def test_what_a_kill_left_is_removed_and_what_others_write_is_not(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    for name in ("one.json", "two.json"):
        killed_while_writing(store.url, f"runs/{name}")
    elsewhere = f".three.json.{'0' * 16}-1.tmp"
    for name in (elsewhere, ".four.json.tmp", ".five.json.99.tmp"):
        (tmp_path / "runs" / name).write_bytes(b"")
    with store.writing("runs/live.json") as live:
        live.write_bytes(b"x")
        assert len(store.names("runs")) == 6
        store.remove_abandoned("runs")
        assert store.names("runs") == sorted([live.name, elsewhere, ".four.json.tmp", ".five.json.99.tmp"])


def test_what_a_kill_left_of_an_upload_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    killed_while_writing("memory://killed", "part")
    assert len(list(tmp_path.rglob("part"))) == 1
    store = Store(f"memory://{tmp_path.name}")
    with store.writing("one") as one:
        one.write_bytes(b"1")
        store.write_bytes("two", b"2")
        assert list(tmp_path.rglob("part")) == [one]
    assert store.names("") == ["one", "two"]


@pytest.mark.skipif(not Path("/sys/kernel").exists(), reason="a folder that not even root may write to is needed")
def test_a_store_that_cannot_be_written_says_so_in_a_sentence() -> None:
    store = Store("/sys/kernel/sluice-test")
    writes = (lambda: store.write_bytes("a", b""), lambda: store.create("a", b""))
    for write in writes:
        with pytest.raises(PermanentError, match=r"write /sys/kernel/sluice-test/a: .*Look at its permissions"):
            write()
    assert store.names("") == []


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.EPERM])
def test_a_read_only_place_says_where_and_what_to_do(number: int) -> None:
    told = pytest.raises(PermanentError, match=r"Could not write /somewhere: .*this user can write to")
    with told, explaining_failed_writes("/somewhere"):
        raise OSError(number, os.strerror(number))


def test_a_file_that_no_run_writes_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "record.json").open("wb") as record:
        record.truncate((1 << 30) + 1)
    with pytest.raises(PermanentError, match=r"record\.json has more than 1024 MiB, so no run wrote it"):
        Store(str(tmp_path)).read_bytes("record.json")


def test_names_that_no_path_has_are_left_out(tmp_path: Path) -> None:
    store = Store(f"memory://{tmp_path.name}")
    store.write_bytes("runs/one.json", b"")
    memory.MemoryFileSystem.store[f"/{tmp_path.name}/runs/..\\x.json"] = memory.MemoryFile(path="x")
    assert store.names("runs") == ["one.json"]


def test_an_unknown_protocol_is_refused_by_name() -> None:
    with pytest.raises(PermanentError, match="nonsense"):
        Store("nonsense://x")


def test_a_full_disk_says_where_and_what_to_do() -> None:
    told = pytest.raises(PermanentError, match=r"disk is full: could not write /somewhere.*make room")
    with told, explaining_failed_writes("/somewhere"):
        raise OSError(errno.ENOSPC, "No space left on device")
