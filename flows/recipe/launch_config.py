"""The launch section of a recipe: on which machines training runs.

Notable: nothing here decides what comes out, so no stage's fingerprint holds it. The fields of Slurm and Kubernetes are
named and checked one by one, since a recipe may come from elsewhere: none of them can hold a line of shell.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from tasks.base.config import Config

Word = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.,:&|*@+\[\]=/-]{0,200}$")]
"""What one option of Slurm may be: no spaces, quotes, or anything else that a shell reads."""
KubernetesName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?$")]
"""A name of an object in Kubernetes (RFC 1123)."""
Quantity = Annotated[str, StringConstraints(pattern=r"^[0-9]+(\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi|T|Ti)?$")]
"""An amount as Kubernetes writes it, such as 16 or 64Gi."""


class SlurmConfig(Config):
    """What is asked of Slurm for each machine; a field left out is left to the cluster."""

    partition: Word | None = None
    """Partition of the job."""
    account: Word | None = None
    """Account that is charged."""
    qos: Word | None = None
    """Quality of service."""
    constraint: Word | None = None
    """Features that the nodes must have, such as h100."""
    exclude: Word | None = None
    """Nodes not to use."""
    reservation: Word | None = None
    """Reservation to run in."""
    time: Annotated[str, StringConstraints(pattern=r"^(\d+-)?\d+(:\d+){0,2}$")] | None = None
    """Longest time of the job, as Slurm writes it: minutes, hours:minutes:seconds, or days-hours. A job that reaches it
    saves a checkpoint, and the flow submits the next one."""
    gpus_per_node: int = Field(default=0, ge=0)
    """GPUs of each node; 0 asks for none."""
    cpus_per_task: int = Field(default=0, ge=0)
    """Cores of each node; 0 leaves it to the cluster."""
    mem: Quantity | None = None
    """Memory of each node, such as 64G."""
    grace_seconds: int = Field(default=120, ge=1)
    """How long before its time is up a job gets SIGTERM, in seconds: a step and a checkpoint have to fit into it."""


class KubernetesConfig(Config):
    """The Job that trains, and what its pods are."""

    image: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][A-Za-z0-9._:/@-]{0,250}$")]
    """Container image with Sluice and its `train` extra (infra/containers/Containerfile, target `trainer`)."""
    claim: KubernetesName
    """PersistentVolumeClaim, readable and writable by many pods, that holds the store."""
    mount: Annotated[str, StringConstraints(pattern=r"^/[A-Za-z0-9._/-]{1,200}$")] = "/store"
    """Where the pods find the claim. The flow must find the store under the same path."""
    namespace: KubernetesName = "default"
    """Namespace of the Job."""
    service_account: KubernetesName | None = None
    """Service account of the pods."""
    gpus: int = Field(default=0, ge=0)
    """GPUs of each pod (nvidia.com/gpu)."""
    cpu: Quantity | None = None
    """Cores of each pod."""
    memory: Quantity | None = None
    """Memory of each pod, such as 64Gi."""
    node_selector: dict[str, str] = Field(default_factory=dict)
    """Labels that the nodes must have."""
    grace_seconds: int = Field(default=120, ge=1)
    """How long a pod may take to save a checkpoint after SIGTERM, in seconds."""


class LaunchConfig(Config):
    """Where training runs; `processes` of the settings are those of each machine."""

    kind: Literal["local", "slurm", "kubernetes"] = "local"
    """`local`: on the machine of the flow. `slurm`: as a Slurm job. `kubernetes`: as an indexed Job. The last two need
    a store on a disk that the flow's machine and all of theirs share."""
    machines: int = Field(default=1, ge=1)
    """Machines: nodes of the Slurm job, pods of the Kubernetes Job."""
    slurm: SlurmConfig = SlurmConfig()
    """Options of the Slurm job."""
    kubernetes: KubernetesConfig | None = None
    """The Kubernetes Job."""

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.kind == "local" and self.machines > 1:
            raise ValueError(
                "launch.machines above 1 needs launch.kind slurm or kubernetes; without either, start `accelerate "
                "launch` on each machine yourself (docs/cluster.md)"
            )
        if self.kind == "kubernetes" and self.kubernetes is None:
            raise ValueError("launch.kind kubernetes needs launch.kubernetes with an image and a claim")
        return self
