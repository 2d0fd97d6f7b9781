"""Training as a Job of Kubernetes: what is asked of the API, and what becomes of it."""

import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import kubernetes_validate
import pytest
from prefect.logging import disable_run_logger
from pydantic import ValidationError

from flows.engine.programs import run_to_its_end
from flows.launch.follower import NoAnswer
from flows.launch.kubernetes_job import Followed
from flows.launch.kubernetes_manifest import kubernetes_job
from flows.launch.training_command import training_command
from flows.recipe.launch_config import KubernetesConfig, LaunchConfig
from flows.recipe.settings import RunSettings
from tasks.base.errors import PermanentError, UsageError
from tests.conftest import ROOT
from tests.flows.launch.small_kubernetes import SCHEMA, SmallKubernetes, small_kubernetes
from tests.flows.launch.trainings import config_of, wait_for
from tests.model.tiny_corpus import TinyCorpus
from tests.model.training.test_training_loop import losses


def launch_on(mount: Path, machines: int = 1, **fields: object) -> LaunchConfig:
    """A launch section with pods that find the store under `mount`."""
    pods = KubernetesConfig.model_validate(
        {"image": "registry.example/sluice:1", "claim": "store", "mount": str(mount), **fields}
    )
    return LaunchConfig(kind="kubernetes", machines=machines, kubernetes=pods)


def test_the_objects_are_what_the_api_takes() -> None:
    launch = launch_on(
        Path("/store"), 4, gpus=8, cpu="64", memory="512Gi", namespace="lab", service_account="trainer",
        node_selector={"gpu": "h100"},
    )  # fmt: skip
    assert launch.kubernetes
    config = Path("/store/models/first-crawl-pretrain-1a2b3c4d/config.json")
    service, job = kubernetes_job("model.pretrain", config, launch, launch.kubernetes, 8)["items"]
    for item in (service, job):
        kubernetes_validate.validate(item, SCHEMA, strict=True)
    name = job["metadata"]["name"]
    assert len(name) <= 52 and service["metadata"]["name"] == name
    spec = job["spec"]["template"]["spec"]
    assert (job["spec"]["completions"], job["spec"]["parallelism"], spec["subdomain"]) == (4, 4, name)
    [container] = spec["containers"]
    assert container["resources"]["limits"] == {"nvidia.com/gpu": "8", "cpu": "64", "memory": "512Gi"}
    command = container["command"][-1]
    assert '--num_processes 32 --multi_gpu --num_machines 4 --machine_rank "$JOB_COMPLETION_INDEX"' in command
    assert f"--main_process_ip {name}-0.{name}.lab.svc " in command


@pytest.mark.parametrize(
    "fields", [{"image": "a b"}, {"image": "x;id"}, {"claim": "Store"}, {"mount": "store"}, {"memory": "64 GB"}]
)
def test_fields_are_checked_before_the_cluster_sees_them(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        KubernetesConfig.model_validate({"image": "registry.example/sluice:1", "claim": "store", **fields})


def test_a_store_outside_the_mount_is_refused(tmp_path: Path) -> None:
    launch = launch_on(Path("/elsewhere"))
    with pytest.raises(UsageError, match="the pods would not find it"):
        training_command("model.pretrain", tmp_path / "config.json", launch, RunSettings(store=str(tmp_path)))


def test_a_server_that_is_away_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.launch.follower._LONGEST_SILENCE_SECONDS", 0)
    monkeypatch.setattr("flows.launch.follower.POLL_SECONDS", 0)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with small_kubernetes(tmp_path):
        pass
    settings = RunSettings(store=str(tmp_path))
    *_, manifest = training_command("model.pretrain", tmp_path / "config.json", launch_on(tmp_path), settings)
    with pytest.raises(NoAnswer, match="does not answer"):
        Followed(Path(manifest)).start()


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallKubernetes]:
    """A cluster that this process's programs find."""
    folder = tmp_path / "cluster"
    folder.mkdir()
    monkeypatch.setenv("KUBECONFIG", str(folder / "kubeconfig"))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with small_kubernetes(folder) as running:
        yield running


def command_of(config: Path, tmp_path: Path, machines: int) -> list[str]:
    """The command that a flow runs for it."""
    return training_command("model.pretrain", config, launch_on(tmp_path, machines), RunSettings(store=str(tmp_path)))


@pytest.mark.slow
def test_two_pods_train_as_one(corpus: TinyCorpus, cluster: SmallKubernetes, tmp_path: Path) -> None:
    config = config_of(corpus, tmp_path / "model", 30, checkpoint_every=100_000)
    with disable_run_logger():
        run_to_its_end(command_of(config, tmp_path, 2), config, None, "pretrain", 30, "tiny")
    assert list(losses(config.parent)) == list(range(1, 31))
    assert cluster.jobs == {} and cluster.services == {} and cluster.pods == {}


@pytest.mark.slow
def test_a_cancelled_job_and_a_killed_follower(corpus: TinyCorpus, cluster: SmallKubernetes, tmp_path: Path) -> None:
    config = config_of(corpus, tmp_path / "model", 100_000, checkpoint_every=100_000)
    command = command_of(config, tmp_path, 1)
    first = subprocess.Popen(command, cwd=ROOT)
    wait_for(lambda: len(losses(config.parent)) > 3)
    first.kill()
    first.wait()
    second = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert second.stdout and "still there from an earlier run; following it on" in second.stdout.readline()
    second.send_signal(signal.SIGTERM)
    said, _ = second.communicate(timeout=90)
    assert second.returncode == 143 and "deleting it" in said
    assert len([line for line in cluster.requests if line.startswith("POST") and line.endswith("jobs 201")]) == 1
    assert cluster.jobs == {} and list((config.parent / "checkpoints").glob("step-*"))


@pytest.mark.slow
def test_a_pod_that_fails_fails_the_try(corpus: TinyCorpus, cluster: SmallKubernetes, tmp_path: Path) -> None:
    config = config_of(corpus, tmp_path / "model", 10, checkpoint_every=100_000)
    values = json.loads(config.read_text())
    config.write_text(json.dumps(values | {"tokens": str(tmp_path / "nowhere")}))
    with disable_run_logger(), pytest.raises(PermanentError, match="nowhere"):
        run_to_its_end(command_of(config, tmp_path, 1), config, None, "pretrain", 10, "tiny")
    assert cluster.jobs == {}
