"""What infra/ holds passes the checks of those who read it: schemas, linters, the shell."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from flows.launch.slurm_script import slurm_script
from flows.recipe.launch_config import LaunchConfig, SlurmConfig
from tests.conftest import ROOT

INFRA = ROOT / "infra"
MANIFESTS = sorted(path for path in (INFRA / "kubernetes").glob("*.yaml") if path.stem != "kustomization")
BIN = Path(sys.executable).parent
OLDEST, NEWEST = "1.29.0", "1.34.0"


def documents(path: Path) -> list[dict[str, Any]]:
    """The objects of a manifest."""
    return list(yaml.safe_load_all(path.read_text()))


def run(*command: str | Path) -> str:
    """Run a checker; return what it says if it objects."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr if done.returncode else ""


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_manifests_are_what_kubernetes_takes(path: Path, version: str) -> None:
    for document in documents(path):
        kubernetes_validate.validate(document, version, strict=True)


def test_the_kustomization_names_what_is_there() -> None:
    [kustomization] = documents(INFRA / "kubernetes" / "kustomization.yaml")
    assert sorted(kustomization["resources"]) == [path.name for path in MANIFESTS]
    images = {
        container["image"]
        for path in MANIFESTS
        for document in documents(path)
        for container in document.get("spec", {}).get("template", {}).get("spec", {}).get("containers", [])
    }
    replaced = {image["name"] for image in kustomization["images"]}
    assert {image for image in images if ":" not in image} == replaced, "the others have a version of their own"


def test_no_pod_has_more_rights_than_it_needs() -> None:
    for path in MANIFESTS:
        for document in documents(path):
            if pod := document.get("spec", {}).get("template", {}).get("spec"):
                assert pod["securityContext"]["runAsNonRoot"] is True
                for container in pod["containers"]:
                    assert container["securityContext"]["allowPrivilegeEscalation"] is False


def test_compose_is_what_docker_and_podman_take() -> None:
    assert run(BIN / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", INFRA / "compose.yaml") == ""


def test_compose_opens_no_port_to_others() -> None:
    [compose] = documents(INFRA / "compose.yaml")
    ports = [port for service in compose["services"].values() for port in service.get("ports", [])]
    assert ports and all(port.startswith("127.0.0.1:") for port in ports)


def test_the_container_file_passes_its_linter() -> None:
    assert run(BIN / "hadolint", INFRA / "containers" / "Containerfile") == ""


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="needs shellcheck")
@pytest.mark.parametrize(
    "slurm",
    [
        SlurmConfig(),
        SlurmConfig(partition="gpu", account="lab", qos="high", constraint="h100&nvlink", exclude="n[1-4]",
                    reservation="r", time="2-00", mem="64G", gpus_per_node=8, cpus_per_task=64),
    ],
    ids=["plain", "everything"],
)  # fmt: skip
def test_the_slurm_script_passes_shellcheck(tmp_path: Path, slurm: SlurmConfig) -> None:
    script = tmp_path / "job.sh"
    launch = LaunchConfig(kind="slurm", machines=2, slurm=slurm)
    script.write_text(slurm_script("model.pretrain", tmp_path / "config.json", launch, 8, tmp_path / "accelerate.yaml"))
    assert run("shellcheck", script) == ""
