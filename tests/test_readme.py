"""The commands of the README and of the page on clusters, run: each on the tiny recipe and a store of its own, where it
names a shipped one."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT, run_sluice, sluice_environment


def commands(page: str = "README.md") -> list[str]:
    """Every command in a page's shell blocks, without its comment."""
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / page).read_text(), flags=re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [re.sub(r"\s+#.*", "", line).strip() for line in lines if line.strip()]


def starting_with(program: str, page: str = "README.md") -> list[str]:
    return [command for command in commands(page) if command.startswith(f"{program} ")]


def test_the_two_commands_come_first() -> None:
    assert commands()[:2] == ["make demo", "make test"]


@pytest.mark.parametrize("command", starting_with("make"))
def test_make(command: str) -> None:
    done = subprocess.run(["make", "--dry-run", command.split()[1]], cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == 0


@pytest.fixture(scope="module")
def store(finished_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    copy = tmp_path_factory.mktemp("readme") / "store"
    shutil.copytree(finished_store, copy)
    return copy


def quick_and_slow(commands: list[str]) -> list[Any]:
    """Runs, which take the better part of a minute each, are slow tests."""
    return [pytest.param(one, marks=[pytest.mark.slow] if one.startswith("sluice run") else []) for one in commands]


@pytest.mark.parametrize("command", quick_and_slow(starting_with("sluice")))
def test_sluice(
    command: str, prefect_server: str, store: Path, tiny_recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = [str(tiny_recipe) if word == "first-crawl" else word for word in shlex.split(command)[1:]]
    reads_no_store = words[0] == "recipes"
    done = run_sluice(prefect_server, *words, *([] if reads_no_store else ["--store", str(store)]))
    assert done.stdout.strip()


@pytest.fixture(scope="module")
def work_pool(prefect_server: str) -> None:
    """The work pool that `make server` makes."""
    pool = ["work-pool", "create", "sluice", "--type", "process", "--overwrite"]
    subprocess.run([sys.executable, "-m", "prefect", *pool], env=sluice_environment(prefect_server), check=True)


@pytest.mark.parametrize("command", starting_with("prefect"))
def test_prefect(command: str, prefect_server: str, work_pool: None) -> None:
    """A run is put off for longer than the tests last: it would ask the real web."""
    extra = {"deployment": ["--start-in", "10 days"], "variable": ["--overwrite"]}
    words = [word for word in shlex.split(command)[1:] if word != "--watch"]
    done = subprocess.run(
        [sys.executable, "-m", "prefect", *words, *extra.get(words[0], [])],
        cwd=ROOT,
        env=sluice_environment(prefect_server),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("command", starting_with("accelerate", "docs/cluster.md"))
def test_accelerate(command: str, prefect_server: str, store: Path) -> None:
    """On one machine and the store's own model; it is trained already, so there is nothing left to do but to say so."""
    config = min(store.glob("models/tiny-pretrain-*/config.json"))
    text = re.sub(r"--(num_machines|num_processes|processes) \d+", r"--\1 1", command)
    text = re.sub(r"--main_process_(ip|port) \S+ ?", "", text)
    words = [str(config) if word.endswith("config.json") else word for word in shlex.split(text)[2:]]
    done = subprocess.run(
        [sys.executable, "-m", "accelerate.commands.launch", *words],
        cwd=ROOT,
        env=sluice_environment(prefect_server),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
