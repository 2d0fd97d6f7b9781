"""Modules of the current folder are never imported in place of ours or of anybody's that a verb needs."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tasks.base.safe_path import safe_path
from tests.conftest import ROOT, sluice_environment

OURS = ("flows", "tasks", "model")
OTHERS = ("json", "typing", "uvicorn", "prefect", "accelerate", "torch", "numpy", "sitecustomize")
HOSTILE = """
import pathlib
pathlib.Path({mark!r}).write_text(__name__)
raise SystemExit("a stranger's module was imported")
"""


@pytest.fixture(params=["files", "folders"])
def hostile(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A folder with modules, or packages, called like ours and like those that we import."""
    folder = tmp_path / "hostile"
    folder.mkdir()
    for name in (*OURS, *OTHERS):
        file = folder / (f"{name}.py" if request.param == "files" else f"{name}/__init__.py")
        file.parent.mkdir(exist_ok=True)
        file.write_text(HOSTILE.format(mark=str(folder / "imported")))
    return folder


def sluice(hostile: Path, *arguments: str, server: str = "") -> str:
    """Run `sluice` in that folder, as its console script does: without the current folder on the path itself."""
    environment = sluice_environment(server) | {"HOME": str(hostile.parent)}
    command = [sys.executable, "-P", "-c", "from flows.cli import main; main()", *arguments]
    done = subprocess.run(
        command, cwd=hostile, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert not (hostile / "imported").exists(), (hostile / "imported").read_text()
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_talking_to_the_model(hostile: Path, finished_store: Path) -> None:
    assert sluice(hostile, "generate", "The river", "--max-new-tokens", "2", "--store", str(finished_store))


def test_building_a_corpus_under_a_server_of_our_own(hostile: Path, tiny_recipe: Path) -> None:
    assert sluice(hostile, "corpus", str(tiny_recipe), "--workers", "1")


def test_training(hostile: Path, finished_store: Path, prefect_server: str, tiny_recipe: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    shutil.copytree(finished_store, store)
    arguments = ["--set", "pretrain.loop.steps=2", "--store", str(store), "--processes", "2"]
    assert sluice(hostile, "pretrain", str(tiny_recipe), *arguments, server=prefect_server)


def test_relative_entries_of_pythonpath_are_left_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["", "lib", str(tmp_path), "."]))
    assert safe_path() == {"PYTHONSAFEPATH": "1", "PYTHONPATH": os.pathsep.join([str(ROOT), str(tmp_path)])}
