"""The container images' install steps, carried out in a fresh environment."""

import os
import shutil
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import pytest
from dockerfile_parse import DockerfileParser

from tests.conftest import ROOT

pytestmark = pytest.mark.slow
PROOFS = {
    "worker": ["sluice --help", "prefect version", "python -c 'import torch, s3fs, kubernetes'"],
    "server": ["prefect server start --help"],
    "trainer": ["accelerate launch -m model.pretrain --help"],
}
"""What has to work in each image."""


def steps(target: str) -> list[tuple[str, str]]:
    """The instructions that make an image, with those of the images that it is made from."""
    container_file = ROOT / "infra" / "containers" / "Containerfile"
    parser = DockerfileParser(fileobj=BytesIO(container_file.read_bytes()))
    by_stage: dict[str, list[tuple[str, str]]] = {}
    current: list[tuple[str, str]] = []
    for entry in parser.structure:
        if entry["instruction"] == "FROM":
            source, _, name = entry["value"].split()
            current = by_stage[name] = list(by_stage.get(source, []))
        elif entry["instruction"] != "COMMENT":
            current.append((entry["instruction"], entry["value"]))
    return by_stage[target]


@pytest.mark.parametrize("target", PROOFS)
def test_an_image_has_what_it_needs(target: str, tmp_path: Path) -> None:
    folder, environment = tmp_path / "sluice", tmp_path / "environment"
    folder.mkdir()
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    variables = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PYTHON")},
        "PATH": f"{environment}/bin:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "PREFECT_HOME": str(tmp_path / "prefect"),
    }

    def run(command: str) -> None:
        done = subprocess.run(
            command, shell=True, cwd=folder, env=variables, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr

    for instruction, value in steps(target):
        if instruction == "COPY":
            *sources, place = value.split()
            for source in sources:
                if (ROOT / source).is_dir():
                    ignored = shutil.ignore_patterns("__pycache__")
                    shutil.copytree(ROOT / source, folder / place, ignore=ignored)
                else:
                    shutil.copy(ROOT / source, folder / place)
        elif instruction == "RUN" and value.startswith("pip "):  # the others change the system
            run(value)
    for command in PROOFS[target]:
        run(command)
