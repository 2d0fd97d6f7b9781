"""The source archive and the wheel made from it: what they hold, and the command in environments of their own."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.environments import environment_with
from tests.flows.report_stores import whole_run

pytestmark = pytest.mark.slow

Installed = Callable[..., Path]
PATTERN = "3.1[23]*/bin/python"
"""Another Python than this one, where several are kept side by side."""


def run(*command: str | Path, expect: int = 0) -> str:
    """Run a command to its end, the checkout out of its sight; gives all that it said."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [*map(str, command)], cwd="/", env=environment, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout + done.stderr


def tracked() -> list[str]:
    """The files of the repository."""
    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [name for name in filter(None, files.split("\0")) if (ROOT / name).is_file()]


@pytest.fixture(scope="module")
def uv() -> Path:
    return environment_with("uv", ["uv>=0.9,<1"]).parent / "uv"


@pytest.fixture(scope="module")
def built(uv: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the source archive and of the wheel that was made from it."""
    folder = tmp_path_factory.mktemp("built")
    for name in tracked():
        (folder / "source" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "source" / name).write_bytes((ROOT / name).read_bytes())
    run(uv, "build", "--quiet", "--python", sys.executable, "--out-dir", folder, folder / "source")
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    return next(built.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(uv: Path, wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Gives the `sluice` of a fresh environment of a Python, with the wheel and one of its extras, or none."""
    made: dict[tuple[str, str], Path] = {}

    def make(python: str, extra: str = "") -> Path:
        if (python, extra) not in made:
            folder = tmp_path_factory.mktemp("environment")
            run(uv, "venv", "--quiet", "--python", python, folder)
            asked = f"{wheel}[{extra}]" if extra else wheel
            pinned = ("--constraint", ROOT / "requirements.lock")
            run(uv, "pip", "install", "--quiet", "--python", folder / "bin" / "python", *pinned, asked)
            made[python, extra] = folder / "bin" / "sluice"
        return made[python, extra]

    return make


def another_python() -> str | None:
    """A Python of another version that the project supports: beside this one, or on the path."""
    beside = [str(path) for path in sorted(Path(sys.base_prefix).parent.glob(PATTERN))]
    found = [path for name in ("python3.13", "python3.12") if (path := shutil.which(name))]
    works = f"import sys; sys.exit(sys.version_info[:2] == {sys.version_info[:2]})"
    return next((path for path in beside + found if not subprocess.run([path, "-c", works]).returncode), None)


@pytest.fixture(params=["this", "another"])
def python(request: pytest.FixtureRequest) -> str:
    found = sys.executable if request.param == "this" else another_python()
    if found is None:
        pytest.skip("there is no other Python")
    return found


def test_the_source_archive_holds_every_file(built: Path) -> None:
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {name for name in tracked() if not name.startswith(".")} - names == set()


def test_the_wheel_holds_our_packages_their_data_and_types(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"flows", "tasks", "model"}
    assert {"flows/py.typed", "tasks/py.typed", "model/py.typed", "flows/recipes/demo.yaml"} <= names
    of_packages = [name for name in tracked() if name.startswith(("flows/", "tasks/", "model/"))]
    data = {name for name in of_packages if name.endswith((".yaml", ".j2", ".txt", ".tsv", ".c", ".html", ".jinja"))}
    assert data - names == set()


def test_the_readme_names_the_pythons_that_it_is_for() -> None:
    supported = re.search(r'requires-python = ">=(3\.\d+),<3\.(\d+)"', (ROOT / "pyproject.toml").read_text())
    assert supported
    assert f"Python {supported[1]} to 3.{int(supported[2]) - 1}" in (ROOT / "README.md").read_text()


def test_the_base_prints_help_and_reads_a_store(installed: Installed, python: str, tmp_path: Path) -> None:
    sluice, store = installed(python), tmp_path / "store"
    assert "what-if" in run(sluice, "--help")
    assert run(sluice, "--version").startswith("sluice ")
    assert "first-crawl" in run(sluice, "recipes")
    assert "holds no run yet" in run(sluice, "status", "--store", tmp_path / "empty", expect=1)
    whole_run(store)
    for verb in ("status", "datasets"):
        assert "export" in run(sluice, verb, "--store", store)
    assert "export" in run(sluice, "why", "export", "--store", store)


def test_what_needs_more_says_which_extra(installed: Installed, tmp_path: Path) -> None:
    sluice, store = installed(sys.executable), ("--store", tmp_path)
    assert "pip install 'sluice[data]'" in run(sluice, "recipes", "show", "demo", expect=1)
    for command in ("run", "corpus first-crawl", "pretrain demo", "plan demo", "what-if demo", "results"):
        assert "pip install 'sluice[data]'" in run(sluice, *command.split(), *store, expect=1)
    evaluate, export = f"evaluate {tmp_path}", f"export {tmp_path}/model --gguf q8_0"
    for command in ("chat Hello", "generate Once", "serve", evaluate, export):
        assert "pip install 'sluice[train]'" in run(sluice, *command.split(), *store, expect=1)
    assert list(tmp_path.iterdir()) == []


def test_with_the_data_half_a_corpus_is_made_and_a_model_is_refused_at_once(
    installed: Installed, python: str, tmp_path: Path
) -> None:
    sluice = installed(python, "data")
    small = [
        "--set=synthetic_web.towns=2",
        "--set=synthetic_web.held_out_facts=4",
        "--set=synthetic_web.pages_per_town=4",
        "--set=synthetic_web.warcs=1",
    ]
    refused = run(sluice, "run", "demo", "--store", tmp_path / "model", *small, expect=1)
    assert "pip install 'sluice[train]'" in refused and "Prefect UI" not in refused
    made = run(sluice, "corpus", "demo", "--store", tmp_path / "corpus", "--until", "filter", *small)
    assert "All counts add up" in made


# For another Python, gigabytes of torch may have to be fetched: not in every run of the tests.
@pytest.mark.parametrize("python", ["this", pytest.param("another", marks=pytest.mark.bench)], indirect=True)
def test_with_the_model_half_a_model_answers_and_a_corpus_is_refused_at_once(
    installed: Installed, python: str, finished_store: Path, tmp_path: Path
) -> None:
    sluice = installed(python, "train")
    for verb in ("chat", "generate"):
        run(sluice, verb, "The river", "--max-new-tokens", "8", "--store", finished_store)
    [export] = finished_store.glob("models/*/export")
    assert "completion" in run(sluice, "evaluate", export, "--tasks", "completion", "--items", "2", "--json")
    refused = run(sluice, "corpus", "first-crawl", "--store", tmp_path, expect=1)
    assert "pip install 'sluice[data]'" in refused and list(tmp_path.iterdir()) == []


def test_uv_runs_it_as_a_tool(uv: Path, wheel: Path) -> None:
    assert "what-if" in run(uv, "tool", "run", "--python", sys.executable, "--from", wheel, "sluice", "--help")


def test_uv_installs_it_to_stay(uv: Path, wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_TOOL_DIR", str(tmp_path / "tools"))
    monkeypatch.setenv("UV_TOOL_BIN_DIR", str(tmp_path / "bin"))
    run(uv, "tool", "install", "--quiet", "--python", sys.executable, wheel)
    assert "first-crawl" in run(tmp_path / "bin" / "sluice", "recipes")
