"""A round: one run on a store of its own, struck again and again, started again until it is done.

Notable: a run of a terminal is started again by the round, as a person would. The deployed stack (PostgreSQL, Prefect
server, worker) is started again when one of its parts has ended, as a service manager would, and its schedule starts
the runs.
"""

import random
import shlex
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from flows.server.loopback_server import ServerAddress
from tests.chaos.storm.faults import Kind, Scene, Strike, kinds
from tests.chaos.storm.machine import Machine, Running
from tests.chaos.storm.outcome import newest_run, stage_of
from tests.conftest import ROOT, sluice_command
from tests.flows.running_programs import free_port, wait_until
from tests.tasks import crawl_mirror

_GONE_SECONDS = 45.0
"""The longest that processes may outlive their run: a trainer's grace period, and some."""
_PATIENCE = 60
"""The longest that a round may take, in longest pauses."""
_INTERVAL_SECONDS = 20
"""Of the schedule."""
_ORDERLY = {0, 1, 130, 143, -2, -15, -9}
"""Exit codes of a run that is done, fails, is cancelled, or is killed."""


@dataclass
class Round:
    """One run under faults."""

    name: str
    machine: Machine
    draws: random.Random
    most: int
    """Strikes before it may finish."""
    longest_pause: float
    """Seconds between two strikes, at most."""
    on_strike: Callable[[Strike], None]
    strikes: int = 0
    faults: list[str] = field(default_factory=list)
    """What should not have been."""
    began: float = field(default_factory=time.monotonic)

    @property
    def store(self) -> Path:
        """Where it builds."""
        return self.machine.disk / self.name

    def next_pause(self) -> float:
        """When the next strike comes."""
        return time.monotonic() + self.draws.uniform(0.3, self.longest_pause)

    def strike(self, scene: Scene, is_stack: bool) -> None:
        """Let one fault happen; none where the kind that is drawn has nothing to strike."""
        found: dict[str, Kind] = kinds(self.machine, is_stack)
        kind, stage, seconds = self.draws.choice(sorted(found)), stage_of(self.store), time.monotonic() - self.began
        try:
            struck = found[kind](scene)
        except AssertionError as error:
            self.faults.append(f"{kind}: {error}")
            struck = "see below"
        if struck:
            self.strikes += 1
            self.on_strike(Strike(kind, self.name, round(seconds, 1), stage, struck))

    def is_late(self) -> bool:
        """Whether it has gone on for so long that it will not end; kills what is left of it."""
        limit = max(1200.0, _PATIENCE * self.longest_pause)
        if time.monotonic() - self.began < limit:
            return False
        self.faults.append(f"not done after {limit:.0f} s")
        self.machine.kill_all()
        return True

    def see_to_the_end(self, run: Running) -> None:
        """Note what is wrong with how a run ended."""
        code, said = run.process.returncode, run.said()
        if code not in _ORDERLY:
            self.faults.append(f"{run.log.name} ended with {code}: {run.last_words()}")
        is_ours = any(f'File "{ROOT}/{top}/' in said for top in ("flows", "tasks", "model"))
        if "Traceback (most recent call last)" in said and is_ours:
            self.faults.append(f"{run.log.name} has a traceback: {said[said.index('Traceback') :][:3000]}")


def from_a_terminal(round_: Round, arguments: list[str]) -> None:
    """`sluice ARGUMENTS --store STORE`, started again until it ends well."""
    machine, started = round_.machine, 0

    def start() -> Running:
        nonlocal started
        started += 1
        command = sluice_command(*arguments, "--store", str(round_.store))
        return machine.start(f"{round_.name}-{started}", command)

    scene = Scene(machine, round_.draws, start, [start()])
    due, is_done = round_.next_pause(), False
    while not round_.is_late():
        time.sleep(0.05)
        ended = [run for run in scene.runs if run.process.poll() is not None]
        scene.runs = [run for run in scene.runs if run not in ended]
        for run in ended:
            round_.see_to_the_end(run)
            is_done |= run.process.returncode == 0
        if not scene.runs:
            round_.faults += machine.still_alive(_GONE_SECONDS)
            if is_done:
                return
            scene.runs = [start()]
        if time.monotonic() > due and round_.strikes < round_.most:
            round_.strike(scene, is_stack=False)
            due = round_.next_pause()


def misbehave(draws: random.Random) -> list[crawl_mirror.Fault | None]:
    """What a mirror does with its next requests: refuses, is slow, hangs up, cuts bodies off, flips bits."""
    faults = [crawl_mirror.refuse(503, Retry_After="1"), crawl_mirror.refuse(403), crawl_mirror.late(3)]
    faults += [crawl_mirror.hang_up, crawl_mirror.cut(), crawl_mirror.flip(5)]
    return draws.choices([*faults, None, None, None], k=60)


def deployed(round_: Round, recipe: Path) -> None:
    """The stack of `make server`, with a schedule that starts the recipe again and again."""
    machine, port, started = round_.machine, free_port(), 0
    folder = machine.folder / f"{round_.name}-server"

    def start() -> Running:
        nonlocal started
        started += 1
        command = [sys.executable, "-m", "flows.server", str(folder), "--port", str(port)]
        return machine.start(f"{round_.name}-{started}", command)

    stack = start()
    parameters = {"recipe": str(recipe), "settings": {"store": str(round_.store), "workers": 2, "processes": 2}}
    _deploy(round_, folder, port, parameters)
    scene = Scene(machine, round_.draws, start)
    due = round_.next_pause()
    while not round_.is_late():
        time.sleep(0.2)
        if stack.process.poll() is not None:
            round_.see_to_the_end(stack)
            # What a kill of the stack itself leaves ends by itself.
            round_.faults += machine.still_alive(_GONE_SECONDS)
            stack = start()
        if round_.strikes < round_.most:
            if time.monotonic() > due:
                round_.strike(scene, is_stack=True)
                due = round_.next_pause()
        elif (run := newest_run(round_.store)) and run.state == "completed":
            break
    stack.process.terminate()
    stack.process.wait(timeout=_GONE_SECONDS)
    round_.faults += machine.still_alive(_GONE_SECONDS)


def _deploy(round_: Round, folder: Path, port: int, parameters: dict[str, Any]) -> None:
    """Register the deployments, and give crawl-to-chat/default a schedule of its own."""
    machine, environment = round_.machine, folder / "environment"
    health = f"http://127.0.0.1:{port}/api/health"
    wait_until(lambda: environment.exists() and httpx.get(health, trust_env=False).is_success, machine.folder)
    words = dict(word.split("=", 1) for word in shlex.split(environment.read_text()) if word != "export")
    command = [sys.executable, "-m", "prefect", "deploy", "--all", "--no-prompt"]
    done = machine.start(f"{round_.name}-deploy", command, words)
    assert done.process.wait(timeout=240) == 0, done.said()
    address = ServerAddress(words["PREFECT_API_URL"], "", words["PREFECT_API_AUTH_STRING"])
    with address.client() as client:
        deployment = client.get("/deployments/name/crawl-to-chat/default").raise_for_status().json()["id"]
        schedule = {"active": True, "schedule": {"interval": _INTERVAL_SECONDS}, "parameters": parameters}
        client.post(f"/deployments/{deployment}/schedules", json=[schedule]).raise_for_status()
