"""The command that a flow runs to train, wherever that is to happen."""

import json
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

from flows.launch.accelerate_command import OUR_CONFIG, accelerate_command
from flows.launch.kubernetes_manifest import kubernetes_job
from flows.launch.slurm_script import slurm_script
from flows.recipe.launch_config import LaunchConfig
from flows.recipe.settings import RunSettings
from tasks.base.errors import PermanentError
from tasks.dataset.store import Store


def require_launch(launch: LaunchConfig, store: Store) -> None:
    """Raise `PermanentError` where training could not be launched from here: hours of the data half come first."""
    if launch.kind == "local":
        return
    if not store.is_local:
        raise PermanentError(
            f"launch.kind {launch.kind} needs a store on a disk that this machine and the trainers share, and "
            f"{store.url} is none."
        )
    if launch.kind == "slurm" and shutil.which("sbatch") is None:
        raise PermanentError("launch.kind slurm needs Slurm's programs (sbatch) on this machine.")
    if launch.kind == "kubernetes" and find_spec("kubernetes") is None:
        raise PermanentError("launch.kind kubernetes needs the client: pip install 'sluice[kubernetes]'.")


def training_command(module: str, config: Path, launch: LaunchConfig, settings: RunSettings) -> list[str]:
    """Return the command that trains by `config`; what a cluster has to read is written beside it."""
    if launch.kind == "local":
        return accelerate_command(sys.executable, module, config, settings.processes, settings.accelerate_config)
    written = config.with_name(config.name.replace("config.json", module.rpartition(".")[2]))
    accelerate_config = shutil.copyfile(settings.accelerate_config or OUR_CONFIG, config.with_name("accelerate.yaml"))
    if launch.kind == "slurm":
        processes = launch.slurm.gpus_per_node or settings.processes
        script = written.with_suffix(".slurm.sh")
        script.write_text(slurm_script(module, config, launch, processes, accelerate_config), encoding="utf-8")
        return [sys.executable, "-m", "flows.launch.slurm_job", str(script)]
    assert launch.kubernetes is not None, "the section was checked"
    manifest = written.with_suffix(".kubernetes.json")
    job = kubernetes_job(module, config, launch, launch.kubernetes, launch.kubernetes.gpus or settings.processes)
    manifest.write_text(json.dumps(job, indent=1), encoding="utf-8")
    return [sys.executable, "-m", "flows.launch.kubernetes_job", str(manifest)]
