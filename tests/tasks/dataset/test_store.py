"""The store: whole files or none, on a disk, in memory and on an S3-compatible server."""

import errno
from pathlib import Path

import pytest

from tasks.base.errors import PermanentError
from tasks.dataset.store import Store, explaining_full_disk


@pytest.fixture(params=["local", "memory", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "local":
        return Store(str(tmp_path / "store"))
    if request.param == "memory":
        return Store(f"memory://{tmp_path.name}")
    return Store(request.getfixturevalue("s3_bucket"))


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


def test_an_unknown_protocol_is_refused_by_name() -> None:
    with pytest.raises(PermanentError, match="nonsense"):
        Store("nonsense://x")


def test_a_full_disk_says_where_and_what_to_do() -> None:
    told = pytest.raises(PermanentError, match=r"disk is full: could not write /somewhere.*make room")
    with told, explaining_full_disk("/somewhere"):
        raise OSError(errno.ENOSPC, "No space left on device")
