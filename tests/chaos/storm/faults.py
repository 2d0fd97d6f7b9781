"""The kinds of fault of a storm: what is struck, and how."""

import random
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

import psutil

from tests.chaos.storm.machine import Machine, Running, title

FLOW_RUN = ("prefect.engine", "_workspace_runtime_bootstrap", "flow_engine")
"""Words in the command line of a flow run that a Prefect worker started."""
_SUPERVISOR = "program_supervisor"
_WORDS = (
    *("fork_server", _SUPERVISOR, "accelerate", "model.pretrain", "model.sft", "model.evaluate", "model.export"),
    *("postgres", "uvicorn", "worker start", *FLOW_RUN, "flows.server", "flows.cli"),
)
"""What a process is, by what its command line has; the first that fits."""
_HOUR, _DAY = 3600, 86_400
_DISK_SECONDS = 8.0
_STOPPED_SECONDS = 3.0


@dataclass
class Strike:
    """One fault that happened: a line of the table."""

    kind: str
    round: str
    seconds: float
    """Since the storm began."""
    stage: str
    """What the newest run's record said was being built."""
    struck: str
    """The process that was hit, or what was done."""


@dataclass
class Scene:
    """What a fault can reach."""

    machine: Machine
    draws: random.Random
    start: Callable[[], Running]
    """Starts the same run once more."""
    runs: list[Running] = field(default_factory=list)
    """Those that have not ended."""


Kind = Callable[[Scene], str]
"""Strikes, and returns what was struck; nothing where it is not there to be struck."""


def _kill(*words: str, by: signal.Signals = signal.SIGKILL) -> Kind:
    """A kind that signals one process with such a command line; any one where no words are given."""

    def strike(scene: Scene) -> str:
        chosen = sorted(scene.machine.processes(*words), key=lambda found: found.pid)
        if words and _SUPERVISOR not in words:  # its command line has the program's in it
            chosen = [process for process in chosen if _SUPERVISOR not in title(process)]
        if not chosen:
            return ""
        process = scene.draws.choice(chosen)
        name = title(process)
        with suppress(psutil.NoSuchProcess):
            process.send_signal(by)
        return short(name)

    return strike


def short(command_line: str) -> str:
    """What a process is, in a word."""
    return next((word for word in _WORDS if word in command_line), command_line[:40])


def _kill_everything(scene: Scene) -> str:
    scene.machine.kill_all()
    return "all"


def _stop(scene: Scene) -> str:
    processes = scene.machine.processes()
    for number in (signal.SIGSTOP, signal.SIGCONT):
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)
        time.sleep(_STOPPED_SECONDS)
    return f"{len(processes)} processes"


def _second_run(scene: Scene) -> str:
    scene.runs.append(scene.start())
    return "started"


def _set_clock(scene: Scene) -> str:
    seconds = scene.draws.choice((-_DAY, -_HOUR, -60, 0, 60, _HOUR, _DAY))
    scene.machine.set_clock(seconds)
    return f"{seconds:+d} s"


def _fill_disk(scene: Scene) -> str:
    scene.machine.fill_disk()
    time.sleep(_DISK_SECONDS)
    scene.machine.empty_disk()
    return f"for {_DISK_SECONDS:g} s"


def _read_only(scene: Scene) -> str:
    """Everything is killed, the disk comes back read-only, and a run is started on it."""
    scene.machine.kill_all()
    scene.machine.make_disk("ro")
    run = scene.start()
    code = run.process.wait()
    scene.machine.make_disk("rw")
    assert code == 1 and "Look at its permissions" in run.said(), f"{code}: {run.said()[-1000:]}"
    return run.last_words()[:60]


def kinds(machine: Machine, is_stack: bool) -> dict[str, Kind]:
    """The kinds that can strike there, by name: the deployed stack, or runs from a terminal."""
    flow = FLOW_RUN if is_stack else ("flows.cli",)
    found = {
        "kill -9 of the flow": _kill(*flow),
        "kill -9 of a worker process": _kill("fork_server"),
        "kill -9 of a rank or its launcher": _kill("model.pretrain", "model.sft"),
        "kill -9 of a program's supervisor": _kill(_SUPERVISOR),
        "kill -9 of the Prefect server": _kill("uvicorn"),
        "kill -9 of any process": _kill(),
        "kill -9 of everything": _kill_everything,
        "SIGTERM to the flow": _kill(*flow, by=signal.SIGTERM),
        "SIGTERM to a trainer": _kill("model.pretrain", "model.sft", by=signal.SIGTERM),
        "all stopped for a while": _stop,
    }
    if is_stack:
        found |= {"kill -9 of PostgreSQL": _kill("postgres"), "kill -9 of the Prefect worker": _kill("worker start")}
    else:
        found |= {"Ctrl-C": _kill(*flow, by=signal.SIGINT), "a second run": _second_run}
    if machine.has_clock:
        found["the clock is set"] = _set_clock
    if machine.has_disk:
        found["the disk is full"] = _fill_disk
        if not is_stack:
            found["the disk is read-only"] = _read_only
    return found
