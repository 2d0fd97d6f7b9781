"""The environment variables by which launchers tell their processes who they are. Needs no torch.

Notable: notebooks, pods of training operators, and shells inside another launcher's job inherit them. A process that
believes them waits for others that do not exist, so whoever starts processes anew removes them first.
"""

import ctypes
import os
import signal
import sys
from collections.abc import Mapping

_PR_SET_PDEATHSIG = 1
_LAUNCHED_BY = ("ACCELERATE_MIXED_PRECISION", "TORCHELASTIC_RUN_ID")
"""What accelerate and torch's launcher tell their processes, so that a process knows its parent for one."""
_ADDRESS = "MASTER_ADDR"
_NAMES = frozenset(
    {
        *("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", _ADDRESS, "MASTER_PORT", "FORK_LAUNCHED"),
        *("GROUP_RANK", "GROUP_WORLD_SIZE", "ROLE_NAME", "ROLE_RANK", "ROLE_WORLD_SIZE"),
        *("PMI_RANK", "PMI_SIZE"),
    }
)
_PREFIXES = ("ACCELERATE_", "FSDP_", "TORCHELASTIC_", "OMPI_COMM_WORLD_", "MV2_COMM_WORLD_", "MPI_LOCAL")
_KEPT = "ACCELERATE_USE_CPU"
"""People set this one themselves (infra/accelerate/cpu-2.yaml)."""


def launch_variables(environment: Mapping[str, str]) -> list[str]:
    """Return the names of the variables of `environment` that come from a launcher."""
    return [name for name in environment if name in _NAMES or (name.startswith(_PREFIXES) and name != _KEPT)]


def drop_leftover_ranks() -> None:
    """Remove ranks from this process's environment unless a launcher that gave them also said where to meet."""
    if _ADDRESS not in os.environ:
        for name in _NAMES & os.environ.keys():
            del os.environ[name]


def end_with_launcher() -> None:
    """Have this process get SIGTERM when the launcher that started it is gone, however it ended (on Linux).

    accelerate's launcher of a single process passes no signal on, and none does when it is killed: training would go
    on by itself.
    """
    if any(name in os.environ for name in _LAUNCHED_BY):
        end_with_parent(signal.SIGTERM)


def end_with_parent(number: signal.Signals) -> None:
    """Have this process get a signal when the one that started it is gone, however it ended (on Linux)."""
    if sys.platform != "linux":
        return
    parent = os.getppid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)
    if os.getppid() != parent:  # it ended meanwhile
        os.kill(os.getpid(), number)
