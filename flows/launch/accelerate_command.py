"""The command line that starts training on one machine: always accelerate, always with a config of ours.

Notable: accelerate would otherwise read the config in the user's home folder, which another project may have left
there. How many processes were asked for goes to the program too, which refuses to train on another number.
"""

from dataclasses import dataclass
from pathlib import Path

LAUNCHER_FOLDER = ".launcher"
"""Beside the config: where torch's launcher makes a folder, left behind when it is killed; else in /tmp."""
OUR_CONFIG = Path(__file__).with_name("accelerate.yaml")


@dataclass(frozen=True)
class Place:
    """One machine among those that train together, in words of a shell: they may name variables."""

    machines: int
    rank: str
    """Number of this machine, from 0."""
    head: str
    """Address of machine 0."""
    port: str
    """Port of machine 0 at which all meet."""


def accelerate_command(
    python: str, module: str, config: Path, processes: int, accelerate_config: str | None, place: Place | None = None
) -> list[str]:
    """Return the command that trains by `config` with `processes` on this machine, alone or as one of several.

    A config of the user's decides the processes of one machine; it does not know the others.
    """
    command = [python, "-m", "accelerate.commands.launch", "--config_file", accelerate_config or str(OUR_CONFIG)]
    command += ["--log_dir", str(config.with_name(LAUNCHER_FOLDER))]
    if accelerate_config and not place:
        return [*command, "-m", module, str(config)]
    machines = place.machines if place else 1
    total = processes * machines
    command += ["--num_processes", str(total)]
    command += ["--multi_gpu"] if total > 1 else []
    if place and machines > 1:
        command += ["--num_machines", str(machines), "--machine_rank", place.rank, "--rdzv_backend", "static"]
        command += ["--main_process_ip", place.head, "--main_process_port", place.port]
    elif total > 1:
        command += ["--main_process_port", "0"]
    return [*command, "-m", module, str(config), "--processes", str(total)]
