"""Submits a training job to Slurm and follows it to its end: `python -m flows.launch.slurm_job SCRIPT`.

Notable:
- The flow runs this like any program: its output is the job's, its exit code is 0 where the job completed. SIGTERM
  cancels the job, which then has Slurm's KillWait to save a checkpoint.
- A job has the name of its model's folder, and its script's digest as a comment. Where this process was killed, the
  next one finds the job still queued or running and follows it on, or cancels it first if it was submitted with another
  script. Nothing is trained twice.
- A preempted job is requeued by Slurm under the same id, and followed on. So is one that waits.
- Slurm's own programs are asked, by their documented output; accounting need not be set up.
"""

import contextlib
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from flows.launch.follower import POLL_SECONDS, ClusterError, NoAnswer, StopRequest, run_follower, with_patience

_UNDER_WAY = frozenset(
    {
        *("PENDING", "CONFIGURING", "RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "SIGNALING", "STAGE_OUT"),
        *("REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT", "RESIZING", "PREEMPTED", "RESV_DEL_HOLD"),
    }
)
_OUTPUT_PIECE = 1 << 20


@dataclass(frozen=True)
class JobState:
    """What Slurm says of a job."""

    name: str
    """Such as PENDING, RUNNING or COMPLETED; GONE where Slurm has forgotten it."""
    exit_code: str = ""
    """`code:signal` of the script."""
    restarts: int = 0
    reason: str = ""
    nodes: str = ""

    @property
    def is_under_way(self) -> bool:
        return self.name in _UNDER_WAY


def follow(script: Path) -> int:
    """Run the job of a script to its end and return the exit code: 0 where it completed, 143 where it was cancelled."""
    stop = StopRequest()
    job = _running_job(script) or _submit(script)
    output = _Output(script.parent / f"slurm-{job}.out")
    seen, cancelled = JobState(""), False
    while True:
        state = _state(job)
        if (state.name, state.restarts, state.nodes) != (seen.name, seen.restarts, seen.nodes):
            print(_sentence(job, state), flush=True)
            seen = state
        output.print_new()
        if not state.is_under_way:
            break
        if stop.asked and not cancelled:
            print(f"Slurm job {job}: cancelling it", flush=True)
            _slurm("scancel", str(job))
            cancelled = True
        stop.wait(POLL_SECONDS)
    if cancelled:
        return stop.exit_code
    return 0 if state.name == "COMPLETED" and state.exit_code in ("", "0:0") else 1


def _submit(script: Path) -> int:
    answer = _slurm("sbatch", "--parsable", f"--job-name={_name(script)}", f"--comment={_digest(script)}", str(script))
    job = int(answer.strip().split(";")[0])
    print(f"Slurm job {job}: submitted {script}", flush=True)
    return job


def _running_job(script: Path) -> int | None:
    """Return the job that an earlier follower of this script left under way; cancel those of other scripts."""
    found = None
    owned = ("--noheader", f"--user={os.getuid()}", f"--name={_name(script)}", "--format=%i %k")
    for line in _slurm("squeue", *owned).splitlines():
        number, _, comment = line.strip().partition(" ")
        job = int(number)
        if comment == _digest(script):
            print(f"Slurm job {job}: still there from an earlier run; following it on", flush=True)
            found = job
            continue
        print(f"Slurm job {job}: cancelling it, since it was submitted with other settings", flush=True)
        _slurm("scancel", str(job))
        while _state(job).is_under_way:
            time.sleep(POLL_SECONDS)
    return found


def _state(job: int) -> JobState:
    return with_patience(lambda: _state_now(job))


def _state_now(job: int) -> JobState:
    try:
        return _parsed(_slurm("scontrol", "--oneliner", "show", "job", str(job)))
    except ClusterError as error:
        if "Invalid job id" in str(error):
            return JobState("GONE")
        raise NoAnswer(str(error)) from error


def _parsed(answer: str) -> JobState:
    fields = dict(re.findall(r"(\S+?)=(\S*)", answer))
    nodes = fields.get("NodeList", "")
    return JobState(
        name=fields.get("JobState", "GONE"),
        exit_code=fields.get("ExitCode", ""),
        restarts=int(fields.get("Restarts", "0")),
        reason=fields.get("Reason", ""),
        nodes="" if nodes == "(null)" else nodes,
    )


def _sentence(job: int, state: JobState) -> str:
    on = f" on {state.nodes}" if state.nodes else ""
    why = f" ({state.reason})" if state.reason not in ("", "None") else ""
    again = f", restarted {state.restarts} times" if state.restarts else ""
    return f"Slurm job {job}: {state.name.lower()}{on}{why}{again}"


def _slurm(*command: str) -> str:
    """Run one of Slurm's programs and return what it prints. Raises ClusterError with what it says if it fails."""
    if shutil.which(command[0]) is None:
        raise ClusterError(f"{command[0]} is not on this machine: launch.kind slurm needs Slurm's programs here.")
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise ClusterError(f"{' '.join(command[:2])} failed: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def _name(script: Path) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", f"{script.parent.name}-{script.stem}")


def _digest(script: Path) -> str:
    return hashlib.sha256(script.read_bytes()).hexdigest()


class _Output:
    """The job's output file, which appears when the job starts and grows with every restart."""

    def __init__(self, path: Path) -> None:
        self._path, self._offset = path, 0
        with contextlib.suppress(OSError):  # a job that is followed on has said its earlier lines already
            self._offset = path.stat().st_size

    def print_new(self) -> None:
        """Print the lines that have come since the last call."""
        with contextlib.suppress(FileNotFoundError), self._path.open("rb") as file:
            file.seek(self._offset)
            while piece := file.read(_OUTPUT_PIECE):
                self._offset += len(piece)
                sys.stdout.write(piece.decode(errors="replace"))
        sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(run_follower(follow, sys.argv[1:]))
