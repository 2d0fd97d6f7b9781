"""A stand-in for a training program: it says when it is ready, and saves something when it is asked to end."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

folder, behaviour = Path(sys.argv[1]), sys.argv[2]
rank = os.environ.get("RANK", "0")


def say(what: str) -> None:
    """One line in one write: ranks share a pipe, and `print` without a buffer writes the line and its end apart."""
    os.write(1, f"rank {rank} {what}\n".encode())


def save(*_: object) -> None:
    """What a trainer does on SIGTERM."""
    say("saving")
    time.sleep(0.3)
    (folder / f"saved-{rank}").touch()
    say("saved")
    sys.exit(3)


if behaviour == "daemon":  # a process that leaves its session and its parent behind
    subprocess.Popen([sys.executable, __file__, str(folder), "sleep"], start_new_session=True)
signal.signal(signal.SIGTERM, signal.SIG_IGN if behaviour == "stubborn" else save)
(folder / f"pid-{os.getpid()}").touch()
say("ready")
if behaviour.startswith("exit"):
    sys.exit(int(behaviour[4:]))
time.sleep(600)
