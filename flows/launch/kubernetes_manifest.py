"""The objects of a training Job in Kubernetes: an indexed Job with a pod for each machine, and a Service by which the
pods know each other's names.

Notable: a pod that fails ends the Job, since the others cannot go on without it; the flow then starts a new Job, which
resumes from the newest checkpoint.
"""

import hashlib
import re
import shlex
from pathlib import Path
from typing import Any

from flows.launch.accelerate_command import Place, accelerate_command
from flows.recipe.launch_config import KubernetesConfig, LaunchConfig
from tasks.base.errors import UsageError

MANAGED_BY = "app.kubernetes.io/managed-by"
_PORT = 29500
_RANK = '"$JOB_COMPLETION_INDEX"'
_NAME_LENGTH = 52
"""Pods are named after the Job, with an index and five letters behind it, in at most 63 characters."""


def kubernetes_job(
    module: str, config: Path, launch: LaunchConfig, kubernetes: KubernetesConfig, processes: int
) -> dict[str, Any]:
    """Return a List with the Service and the Job that train by `config`.

    Raises UsageError where the pods would not find the config, since it lies outside their mount.
    """
    config = config.absolute()
    if not config.is_relative_to(kubernetes.mount):
        raise UsageError(
            f"launch.kubernetes.mount is {kubernetes.mount}, but the model's folder is {config.parent}: the pods would "
            "not find it. Mount the claim on this machine under the same path, and use a store below it."
        )
    name = _job_name(config.parent.name, module)
    metadata = {"name": name, "namespace": kubernetes.namespace, "labels": {MANAGED_BY: "sluice"}}
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        # Names are looked up before all pods are ready.
        "spec": {"clusterIP": "None", "selector": {"job-name": name}, "publishNotReadyAddresses": True},
    }
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata,
        "spec": {
            "completions": launch.machines,
            "parallelism": launch.machines,
            "completionMode": "Indexed",
            "backoffLimit": 0,
            "template": {
                "metadata": {"labels": {MANAGED_BY: "sluice"}},
                "spec": _pod(name, kubernetes, _shell_command(module, config, launch, name, kubernetes, processes)),
            },
        },
    }
    return {"apiVersion": "v1", "kind": "List", "items": [service, job]}


def _shell_command(
    module: str, config: Path, launch: LaunchConfig, name: str, kubernetes: KubernetesConfig, processes: int
) -> str:
    place = Place(launch.machines, _RANK, f"{name}-0.{name}.{kubernetes.namespace}.svc", str(_PORT))
    command = accelerate_command("python", module, config, processes, str(config.with_name("accelerate.yaml")), place)
    return "exec " + " ".join(word if word == _RANK else shlex.quote(word) for word in command)


def _pod(name: str, kubernetes: KubernetesConfig, command: str) -> dict[str, Any]:
    asked = {"nvidia.com/gpu": kubernetes.gpus or None, "cpu": kubernetes.cpu, "memory": kubernetes.memory}
    limits = {resource: str(amount) for resource, amount in asked.items() if amount is not None}
    pod: dict[str, Any] = {
        "restartPolicy": "Never",
        "subdomain": name,
        "terminationGracePeriodSeconds": kubernetes.grace_seconds,
        "containers": [
            {
                "name": "trainer",
                "image": kubernetes.image,
                "command": ["bash", "-c", command],
                "workingDir": kubernetes.mount,
                "resources": {"limits": limits, "requests": limits},
                "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                "volumeMounts": [
                    {"name": "store", "mountPath": kubernetes.mount},
                    {"name": "shared-memory", "mountPath": "/dev/shm"},
                ],
            }
        ],
        "volumes": [
            {"name": "store", "persistentVolumeClaim": {"claimName": kubernetes.claim}},
            # The 64 MiB that a container has otherwise are too few for NCCL.
            {"name": "shared-memory", "emptyDir": {"medium": "Memory"}},
        ],
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
    }
    if kubernetes.service_account:
        pod["serviceAccountName"] = kubernetes.service_account
    if kubernetes.node_selector:
        pod["nodeSelector"] = dict(kubernetes.node_selector)
    return pod


def _job_name(folder: str, module: str) -> str:
    """Return a name that belongs to one model's folder, of the characters that a DNS label may have."""
    digest = hashlib.sha256(f"{folder} {module}".encode()).hexdigest()[:8]
    readable = re.sub(r"[^a-z0-9]+", "-", folder.lower()).strip("-")
    return f"sluice-{readable[: _NAME_LENGTH - len(digest) - 8]}-{digest}".replace("--", "-")
