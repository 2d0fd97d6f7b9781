"""What a store's records say is not believed where it leads out of the store: a store may have been somebody else's."""

import json
import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from flows.cli.app import app
from flows.store.exported_model import copying_model, exported_model, local_model
from flows.store.run_record import latest_run
from flows.store.training_log import read_training
from flows.store.working_folder import working_folder
from tasks.base.errors import PermanentError, UsageError
from tasks.dataset.store import Store
from tasks.workers.process_name import process_mark
from tests.conftest import ROOT
from tests.flows.report_stores import whole_run

PROCESS = {"host": "elsewhere", "machine": "another", "pid": 1}
EXPORT = "models/tiny-sft-12345678/export"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(str(tmp_path / "store"))
    store.write_bytes(f"{EXPORT}/config.json", b"{}")
    store.write_bytes(f"{EXPORT}/model.safetensors", b"weights")
    store.local(f"{EXPORT}/model.safetensors").chmod(0o600)
    write_record(store)
    (tmp_path / "private").mkdir()
    (tmp_path / "private" / "key").write_text("secret")
    return store


def write_record(store: Store, run: str = "20260101T000000.000000-tiny", **changes: Any) -> None:
    """A run's record with a finished export; `changes` are made to it as to plain values, by dotted path."""
    plan = {"name": "export", "version": 1, "fingerprint": "f" * 16, "config": {}, "job_config": {}, "upstream": {}}
    record: dict[str, Any] = {
        **{
            "run": run,
            "flow": "run",
            "recipe": {"name": "tiny"},
            "crawl": "CC-MAIN-2026-46",
            "settings": {},
            "versions": {},
        },
        **{"process": PROCESS, "started": "2026-01-01T00:00:00+00:00", "state": "completed"},
        "stages": {"export": {"plan": plan, "state": "done", "summary": {"folder": EXPORT}}},
    }
    for path, value in changes.items():
        *folders, field = path.split("__")
        section = record
        for folder in folders:
            section = section[folder]
        section[field] = value
    store.write_bytes("runs/20260101T000000.000000-tiny.json", json.dumps(record).encode())


def test_a_model_is_copied_whole_with_the_modes_of_new_files(store: Store, tmp_path: Path) -> None:
    os.umask(before := os.umask(0))
    with copying_model(store, EXPORT, tmp_path / "new" / "model") as folder:
        assert not (tmp_path / "new" / "model").exists()
        (folder / "model.gguf").touch()
    copied = tmp_path / "new" / "model"
    assert sorted(path.name for path in copied.iterdir()) == ["config.json", "model.gguf", "model.safetensors"]
    assert stat.S_IMODE((copied / "model.safetensors").stat().st_mode) == 0o666 & ~before
    assert list(copied.parent.iterdir()) == [copied]


def test_a_copy_that_fails_leaves_nothing(store: Store, tmp_path: Path) -> None:
    with pytest.raises(SystemExit), copying_model(store, EXPORT, tmp_path / "new"):
        raise SystemExit(1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["private", "store"]


def test_what_a_killed_copy_left_goes_with_the_next_one_and_nothing_else(store: Store, tmp_path: Path) -> None:
    ended = subprocess.Popen(["/bin/true"])
    ended.wait()
    machine, _, own = process_mark().partition("-")
    here = tmp_path / "out"
    left, others = [f".new.{machine}-{ended.pid}.tmp", f".new.{machine}-{own}.tmp"], [".new.tmp", ".newer.1-1.tmp"]
    left_by_another_machine = f".new.0123456789abcdef-{ended.pid}.tmp"
    for name in (*left, *others, left_by_another_machine):
        (here / name).mkdir(parents=True)
        (here / name / "model.safetensors").write_bytes(b"half")
    with copying_model(store, EXPORT, here / "new"):
        pass
    assert sorted(path.name for path in here.iterdir()) == sorted([*others, left_by_another_machine, "new"])
    assert (here / "new" / "model.safetensors").read_bytes() == b"weights"


def test_the_copy_of_a_remote_model_goes_even_after_a_kill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    remote = Store(f"memory://{tmp_path.name}")
    remote.write_bytes(f"{EXPORT}/config.json", b"{}")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    program = (
        "import os; from tasks.workers.scratch_folder import scratch_folder\n"
        "with scratch_folder('models') as folder: (folder / 'weights').touch(); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False)
    copies = next(tmp_path.glob("sluice-models-*"))
    assert len(list(copies.iterdir())) == 1
    with local_model(remote, EXPORT) as folder:
        assert list(copies.iterdir()) == [folder]
    assert list(copies.iterdir()) == []


def test_a_precision_that_there_is_not_is_refused_before_anything_is_written(store: Store, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["export", str(tmp_path / "new"), "--store", store.url, "--gguf", "q4"])
    assert done.exit_code == 2
    assert "q4_0" in done.output and "gguf_export" not in done.output
    assert not (tmp_path / "new").exists()


def test_what_is_there_is_not_written_over(store: Store, tmp_path: Path) -> None:
    for name in ("private", "private/key"):
        with pytest.raises(UsageError, match="name a new one"), copying_model(store, EXPORT, tmp_path / name):
            pass
    (tmp_path / "empty").mkdir()
    with copying_model(store, EXPORT, tmp_path / "empty"):
        pass
    assert (tmp_path / "empty" / "config.json").is_file()


@pytest.mark.parametrize("folder", ["../private", "models/../../private", "/etc", "models/tiny//..", "../store/models"])
def test_a_folder_outside_of_the_store_is_not_followed(store: Store, tmp_path: Path, folder: str) -> None:
    write_record(store, stages__export__summary={"folder": folder})
    with pytest.raises(PermanentError, match="is not a path within the store"):
        exported_model(store)
    with pytest.raises(PermanentError), copying_model(store, exported_model(store), tmp_path / "new"):
        pass
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("link", [EXPORT, f"{EXPORT}/notes", f"{EXPORT}/key"])
def test_a_link_in_the_store_is_not_followed(store: Store, tmp_path: Path, link: str) -> None:
    place = store.local(link)
    if link == EXPORT:
        for file in place.iterdir():
            file.unlink()
        place.rmdir()
    place.symlink_to(tmp_path / "private" / ("key" if link.endswith("key") else ""))
    refused = pytest.raises(PermanentError, match="is not a file or a folder of the store")
    with refused, copying_model(store, exported_model(store), tmp_path / "new"):
        pass
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"run": "../../private/report"},
        {"stages__export__plan": {"fingerprint": "../../../private"}},
        {"stages__export__plan": {"name": "../private"}},
        {"stages": {"../private": {}}},
    ],
)
def test_a_name_that_leads_out_of_the_store_makes_a_damaged_record(store: Store, changes: dict[str, Any]) -> None:
    plan = {"name": "export", "version": 1, "fingerprint": "f" * 16, "config": {}, "job_config": {}, "upstream": {}}
    for path, value in changes.items():
        if path.endswith("plan"):
            changes[path] = plan | value
        elif path == "stages":
            changes[path] = {name: {"plan": plan} for name in value}
    write_record(store, **changes)
    with pytest.raises(PermanentError, match="is damaged"):
        latest_run(store)


def test_what_a_record_says_is_neither_markup_nor_obeyed_by_a_terminal(store: Store) -> None:
    write_record(store, crawl="[/x]\x1b[2J", error="[/y]\x1b]0;title\x07", state="failed")
    done = CliRunner().invoke(app, ["status", "--store", store.url])
    assert done.exit_code == 0 and "[/x]" in done.output and "[/y]" in done.output
    assert "\x1b[2J" not in done.output and "\x07" not in done.output


def test_a_log_outside_of_the_store_is_not_read(store: Store, tmp_path: Path) -> None:
    (tmp_path / "private" / "metrics.jsonl").write_text('{"event": "step", "step": 1}')
    write_record(store, stages__export__summary={"model": "../private"})
    with pytest.raises(PermanentError, match="is not a path within the store"):
        read_training(store, latest_run(store), "export")


def test_a_scratch_folder_is_one_on_this_machine(tmp_path: Path) -> None:
    store = Store(f"memory://{tmp_path.name}")
    write_record(store, settings={"scratch": "http://127.0.0.1:1/x"})
    assert working_folder(store, latest_run(store).scratch) == Path("http:/127.0.0.1:1/x").absolute()


def test_an_exported_model_has_a_card_with_its_licence_and_counts(tmp_path: Path) -> None:
    whole, record = whole_run(tmp_path / "whole")
    folder = str(record.stages["export"].summary["folder"])
    whole.write_bytes(f"{folder}/config.json", b"{}")
    arguments = ["export", str(tmp_path / "new"), "--store", whole.url, "--license", "apache-2.0"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    head, text = (tmp_path / "new" / "README.md").read_text().removeprefix("---\n").split("---\n", 1)
    values = yaml.safe_load(head)
    assert (values["license"], values["library_name"], values["language"]) == ("apache-2.0", "transformers", ["en"])
    for expected in ("| parameters | 23,456 |", "| documents |", "| pretraining | 15,360 tokens in 60 steps |"):
        assert expected in text
    assert "0.955 bits per byte on 4 held-out documents" in text
    assert "3 of 6 questions right (held\\_out)" in text
    assert stat.S_IMODE((tmp_path / "new" / "README.md").stat().st_mode) == 0o666 & ~os.umask(os.umask(0o022))
