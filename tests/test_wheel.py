"""The wheel: built, installed with nothing but its base dependencies, and started."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.conftest import ROOT

pytestmark = pytest.mark.slow


def run(*command: str | Path, expect: int = 0) -> str:
    """Run a command to its end, the checkout out of its sight; gives all that it said."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [*map(str, command)], cwd="/", env=environment, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, files.split("\0")):
        if not name.startswith("tests/") and (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, source)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path) -> Path:
    """The `sluice` of a fresh environment that holds the wheel and its base dependencies."""
    environment = wheel.parent / "environment"
    run(sys.executable, "-m", "venv", environment)
    run(
        *(environment / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
        *("--constraint", ROOT / "requirements.lock", wheel),
    )
    return environment / "bin" / "sluice"


def test_it_holds_our_packages_their_data_and_types(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"flows", "tasks", "model"}
    assert {"flows/py.typed", "tasks/py.typed", "model/py.typed", "flows/recipes/demo.yaml"} <= names
    files = [file for top in ("flows", "tasks", "model") for file in (ROOT / top).rglob("*.*")]
    data = {file.relative_to(ROOT).as_posix() for file in files if file.suffix in (".yaml", ".j2", ".txt", ".tsv")}
    assert data - names == set()


def test_help_and_the_reading_verbs_need_the_base_only(installed: Path, tmp_path: Path) -> None:
    assert "what-if" in run(installed, "--help")
    assert run(installed, "--version").startswith("sluice ")
    assert "first-crawl" in run(installed, "recipes")
    for verb in ("status", "evaluate", "report"):
        assert "store" in run(installed, verb, "-h")
    assert "holds no run yet" in run(installed, "status", "--store", tmp_path, expect=1)


def test_what_needs_more_says_which_extra(installed: Path, tmp_path: Path) -> None:
    assert "pip install 'sluice[data]'" in run(installed, "recipes", "show", "demo", expect=1)
    assert "pip install 'sluice[train]'" in run(installed, "chat", "Hello", "--store", tmp_path, expect=1)
