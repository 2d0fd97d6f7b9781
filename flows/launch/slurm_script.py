"""The batch script of a training job on Slurm."""

import re
import shlex
import sys
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from flows.launch.accelerate_command import Place, accelerate_command
from flows.recipe.launch_config import LaunchConfig
from tasks.base.errors import UsageError

_TEMPLATE = Path(__file__).with_name("slurm_job.sh.j2")
_SAFE_FOLDER = re.compile(r"[A-Za-z0-9._/+=@,-]+")
"""What may stand in a line of options, which knows no quotes. A percent sign would be a pattern of Slurm's."""
_RANK, _HEAD, _PORT = '"$SLURM_NODEID"', '"$SLUICE_HEAD"', '"$SLUICE_PORT"'


def slurm_script(module: str, config: Path, launch: LaunchConfig, processes: int, accelerate_config: Path) -> str:
    """Return a script for sbatch that trains by `config`, whose folder gets the job's output.

    Raises UsageError for a folder whose name Slurm's options cannot hold.
    """
    folder = config.parent.absolute()
    if not _SAFE_FOLDER.fullmatch(str(folder)):
        raise UsageError(
            f"{folder} cannot be the folder of a Slurm job: choose a store whose path has only letters, digits and "
            "._/+=@,- in it."
        )
    place = Place(machines=launch.machines, rank=_RANK, head=_HEAD, port=_PORT)
    command = accelerate_command(
        sys.executable, module, config.absolute(), processes, str(accelerate_config.absolute()), place
    )
    words = [word if word in (_RANK, _HEAD, _PORT) else shlex.quote(word) for word in command]
    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False)
    environment.filters["shell"] = shlex.quote
    return environment.from_string(_TEMPLATE.read_text(encoding="utf-8")).render(
        machines=launch.machines,
        folder=folder,
        slurm=launch.slurm,
        command=f"exec {' '.join(words)}",
    )
