"""A real Slurm of two nodes on this machine: Debian's, on loopback, as root."""

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

PROGRAMS = ("slurmctld", "slurmd", "munged", "mungekey", "sbatch")
_CONF = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CryptoType=crypto/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
MpiDefault=none
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
PreemptMode=REQUEUE
PreemptType=preempt/partition_prio
KillWait=20
NodeName=node[1-2] NodeHostname={host} NodeAddr=127.0.0.1 Port=[{first}-{second}] CPUs=1 RealMemory=4000 State=UNKNOWN
PartitionName=low Nodes=node[1-2] Default=YES MaxTime=INFINITE State=UP PriorityTier=1 PreemptMode=REQUEUE
PartitionName=high Nodes=node[1-2] MaxTime=INFINITE State=UP PriorityTier=10 PreemptMode=OFF
"""


def can_run() -> bool:
    """Whether Slurm and munge are installed, and we may start them."""
    return os.geteuid() == 0 and all(shutil.which(program, path=_path()) for program in PROGRAMS)


@contextlib.contextmanager
def slurm(folder: Path) -> Iterator[dict[str, str]]:
    """Run the cluster during the block; its environment finds it."""
    (folder / "state").mkdir()
    for node in ("node1", "node2"):
        (folder / f"spool-{node}").mkdir()
    first = _free_ports(3)
    conf = folder / "slurm.conf"
    conf.write_text(
        _CONF.format(
            host=socket.gethostname().split(".")[0], folder=folder, port=first, first=first + 1, second=first + 2
        )
    )
    environment = {**os.environ, "PATH": _path(), "SLURM_CONF": str(conf)}
    daemons = [_munge(folder)]
    try:
        daemons.append(subprocess.Popen(["slurmctld", "-D", "-i", "-f", str(conf)], env=environment))
        nodes = [["slurmd", "-D", "-f", str(conf), "-N", node] for node in ("node1", "node2")]
        daemons += [subprocess.Popen(node, env=environment) for node in nodes]
        _await_idle(environment)
        yield environment
    finally:
        subprocess.run(["scancel", f"--user={os.getuid()}"], env=environment, check=False, timeout=30)
        _await_no_jobs(environment)
        for daemon in reversed(daemons):
            daemon.terminate()
            daemon.wait(timeout=60)


def _munge(folder: Path) -> subprocess.Popen[bytes]:
    folder.chmod(0o711)
    key = folder / "munge.key"
    subprocess.run(["mungekey", "--create", f"--keyfile={key}"], check=True, env={"PATH": _path()})
    key.chmod(0o400)
    command = ["munged", "--foreground", "--force", f"--key-file={key}", f"--socket={folder}/munge.socket"]
    command += [f"--log-file={folder}/munge.log", f"--pid-file={folder}/munge.pid", f"--seed-file={folder}/munge.seed"]
    return subprocess.Popen(command, env={"PATH": _path()})


def _await_idle(environment: dict[str, str]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        command = ["sinfo", "--noheader", "--partition=low", "--states=idle", "--format=%D"]
        said = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if said.stdout.strip() == "2":
            return
        time.sleep(0.5)
    raise AssertionError(f"Slurm's nodes did not come up: {said.stdout}{said.stderr}")


def _await_no_jobs(environment: dict[str, str]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        said = subprocess.run(["squeue", "--noheader"], env=environment, capture_output=True, text=True, check=False)
        if not said.stdout.strip():
            return
        time.sleep(0.5)


def _free_ports(number: int) -> int:
    """The first of `number` ports in a row that nobody uses."""
    for first in range(26_000, 30_000, number):
        with contextlib.suppress(OSError), contextlib.ExitStack() as open_sockets:
            for port in range(first, first + number):
                open_sockets.enter_context(socket.socket()).bind(("127.0.0.1", port))
            return first
    raise AssertionError("no free ports")


def _path() -> str:
    return f"{os.environ['PATH']}:/usr/sbin:/sbin"
