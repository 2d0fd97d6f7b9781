"""The house: small rooms, short files, imports that run one way, and contracts that notice when they do not."""

import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.conftest import ROOT

TOPS = ("flows", "tasks", "model")
FILES = [file for top in TOPS for file in sorted((ROOT / top).rglob("*.py"))]
MAX_FILES = 15
MAX_LINES = 400


def test_no_room_has_too_many_files() -> None:
    rooms = Counter(file.parent.relative_to(ROOT).as_posix() for file in FILES)
    assert {room: files for room, files in rooms.items() if files > MAX_FILES} == {}


def test_no_file_is_too_long() -> None:
    lengths = {file.relative_to(ROOT).as_posix(): len(file.read_text().splitlines()) for file in FILES}
    assert {name: lines for name, lines in lengths.items() if lines > MAX_LINES} == {}


def test_each_room_says_what_it_is_for() -> None:
    rooms = {file.parent for file in FILES}
    assert [str(room) for room in rooms if not (room / "__init__.py").read_text().startswith('"""')] == []


def test_infra_is_no_package() -> None:
    assert list((ROOT / "infra").rglob("*.py")) == []


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packages and their contracts, to be broken."""
    folder = tmp_path_factory.mktemp("contracts")
    for top in TOPS:
        shutil.copytree(ROOT / top, folder / top, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def broken_contracts(folder: Path) -> set[str]:
    """The names of the import contracts that the packages in a folder break."""
    code = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    command = [sys.executable, "-c", code, "pyproject.toml", "--no-cache"]
    done = subprocess.run(
        command, cwd=folder, env={"PATH": "", "COLUMNS": "1000"}, capture_output=True, text=True, check=False
    )
    broken = set(re.findall(r"^(\S.*) BROKEN", done.stdout, flags=re.MULTILINE))
    assert done.returncode == bool(broken), done.stdout + done.stderr
    return broken


def test_every_contract_is_kept(copy: Path) -> None:
    assert broken_contracts(copy) == set()


@pytest.mark.parametrize(
    ("file", "line", "contract"),
    [
        ("tasks/base/hashing.py", "import flows.display.numbers", "Imports run one way"),
        ("model/base/sizes.py", "from tasks.base import errors", "Imports run one way"),
        ("tasks/base/hashing.py", "from model.base import errors", "Imports run one way"),
        ("flows/planning/memory.py", "from model.network import transformer", "flows import only what is torch-free"),
        ("tasks/base/hashing.py", "import torch", "tasks need neither Prefect nor torch"),
        ("model/base/sizes.py", "def late():\n    import prefect", "model needs neither Prefect"),
        ("flows/store/status.py", "import prefect", "Only the flows and their engine know Prefect"),
        ("tasks/warc/framing.py", "import tasks.fetch.fetch", "The floors of tasks"),
        ("model/network/rope.py", "import model.training.schedule", "The floors of model"),
        ("flows/display/numbers.py", "import flows.cli.app", "No circle of files or of folders"),
        ("tasks/dataset/rules.py", "import tasks.dataset.stage", "No circle of files or of folders"),
    ],
)
def test_a_broken_contract_is_noticed(copy: Path, file: str, line: str, contract: str) -> None:
    whole = (copy / file).read_text()
    try:
        (copy / file).write_text(f"{whole}\n{line}\n")
        assert any(name.startswith(contract) for name in broken_contracts(copy))
    finally:
        (copy / file).write_text(whole)
