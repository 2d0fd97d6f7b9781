"""What a person reads when something is wrong with the machine: a sentence that says what and where, no traceback."""

import subprocess
from importlib import metadata
from pathlib import Path

import pytest

from tests.chaos.storm.machine import Machine
from tests.conftest import Sluice, run_sluice, sluice_command, sluice_environment
from tests.flows.running_programs import free_port

pytestmark = pytest.mark.slow


def test_a_store_that_cannot_be_written(sluice: Sluice, tiny_recipe: Path) -> None:
    said = sluice("corpus", str(tiny_recipe), "--store", "/sys/kernel/sluice-test", expect=1).stderr
    assert "Could not write /sys/kernel/sluice-test/" in said and "Look at its permissions" in said
    assert "Traceback" not in said and len(said.splitlines()) < 8


def test_a_full_disk(sluice: Sluice, tiny_recipe: Path, tmp_path: Path) -> None:
    with Machine(tmp_path) as machine:
        if not machine.has_disk:
            pytest.skip("only root can mount a small disk")
        machine.fill_disk()
        said = sluice("corpus", str(tiny_recipe), "--store", str(machine.disk / "store"), expect=1).stderr
    assert "The disk is full: could not write" in said and "make room" in said
    assert "Traceback" not in said and len(said.splitlines()) < 8


def test_a_configured_server_that_does_not_answer(tiny_recipe: Path, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}/api"
    said = run_sluice(url, "corpus", str(tiny_recipe), "--store", str(tmp_path / "store"), expect=1).stderr
    assert f"The Prefect server {url} does not answer: " in said
    assert "Traceback" not in said and len(said.splitlines()) < 8


def test_a_database_that_prefect_cannot_open(tiny_recipe: Path, tmp_path: Path) -> None:
    """As one that another version left."""
    folder = tmp_path / ".sluice" / "prefect" / metadata.version("prefect") / "0"
    folder.mkdir(parents=True)
    (folder / "prefect.db").write_text("no database")
    environment = sluice_environment("") | {"HOME": str(tmp_path)}
    command = sluice_command("corpus", str(tiny_recipe), "--store", str(tmp_path / "store"))
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"{folder} did not start. Move that folder away" in done.stderr
    assert "file is not a database" in done.stderr
    assert 'File "' not in done.stderr and len(done.stderr.splitlines()) < 14
