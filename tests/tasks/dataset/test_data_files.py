"""Files named in a recipe: their content decides, wherever they lie."""

import os
import stat
from pathlib import Path

import pytest
from pydantic import Field

from tasks.base.config import Config
from tasks.base.errors import UsageError
from tasks.dataset.data_files import DataFile, pin_data_files, read_data_file
from tasks.dataset.store import Store


class Section(Config):
    words: DataFile | None = None
    sets: tuple[DataFile, ...] = ()
    by_name: dict[str, DataFile] = Field(default_factory=dict)
    plain: str = "builtin:no-file"


class Whole(Config):
    section: Section = Section()
    named: dict[str, Section] = Field(default_factory=dict)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "store"))


def test_equal_content_gives_equal_addresses_and_the_bytes_come_back(store: Store, tmp_path: Path) -> None:
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_bytes(b"one\n")
    (tmp_path / "c.jsonl.gz").write_bytes(b"other")
    model = Whole(
        section=Section(words=str(tmp_path / "a.txt"), sets=(f"file://{tmp_path}/b.txt", str(tmp_path / "c.jsonl.gz"))),
        named={"x": Section(by_name={"y": str(tmp_path / "b.txt")})},
    )
    pinned = pin_data_files(model, store)
    assert pinned.section.words == pinned.section.sets[0] == pinned.named["x"].by_name["y"]
    assert pinned.section.words is not None and pinned.section.words.startswith("files/")
    assert pinned.section.sets[1].endswith(".jsonl.gz")
    assert pinned.section.plain == "builtin:no-file"
    (tmp_path / "a.txt").unlink()
    assert read_data_file(store, pinned.section.words) == b"one\n"
    assert pin_data_files(pinned, store) == pinned


def test_a_missing_file_is_named_with_its_field(store: Store, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"named\.x\.sets\.0: there is no file .*gone\.txt"):
        pin_data_files(Whole(named={"x": Section(sets=(str(tmp_path / "gone.txt"),))}), store)
    with pytest.raises(UsageError, match=r"section\.words: no file called 'nothing' comes with Sluice"):
        pin_data_files(Whole(section=Section(words="builtin:nothing")), store)
    with pytest.raises(UsageError, match=r"section\.words: the file .* cannot be read"):
        pin_data_files(Whole(section=Section(words="nowhere://x")), store)


def test_a_copy_is_for_this_user_only(store: Store, tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_bytes(b"one\n")
    pinned = pin_data_files(Section(words=str(tmp_path / "words.txt")), store)
    assert pinned.words and stat.S_IMODE(store.local(pinned.words).stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "value",
    [
        "http://127.0.0.1:1/credentials",
        "ftp://host/x",
        "memory://x",
        "local:///etc/hostname",
        "data:text/plain,x",
        "zip://a::https://host/b.zip",
        "simplecache::s3://bucket/x",
        "a::b",
    ],
)
def test_other_places_than_files_and_a_few_kinds_of_url_are_refused(store: Store, value: str) -> None:
    with pytest.raises(UsageError, match=r"^words: .*(cannot be read: give a path, or a URL|there is no file)"):
        pin_data_files(Section(words=value), store)


def test_what_is_not_a_file_is_not_read(store: Store, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, Path("/dev/zero")):
        with pytest.raises(UsageError, match=r"words: .* is not a file"):
            pin_data_files(Section(words=str(path)), store)


def test_a_path_that_begins_like_the_address_of_a_copy_is_a_path(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "words.txt").write_bytes(b"mine\n")
    pinned = pin_data_files(Section(words="files/words.txt"), store)
    assert pinned.words and read_data_file(store, pinned.words) == b"mine\n"
    with pytest.raises(UsageError, match="there is no file"):
        pin_data_files(Section(words="files/../../secret"), store)


def test_a_model_without_files_is_left_as_it_is(store: Store) -> None:
    model = Whole()
    assert pin_data_files(model, store) == model
