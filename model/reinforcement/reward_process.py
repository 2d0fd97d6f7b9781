"""Rewards in a process of their own: what hangs or dies there costs one reply its reward, never the training.

Notable:
- Program and process speak in lines of JSON over pipes; what a reward prints goes to stderr.
- A user's own reward is run as it is, with the rights of the user who named it: who may name code is decided where the
  recipe is read (flows/recipe/own_code.py).
- `python -m model.reinforcement.reward_process` is the process.
"""

import contextlib
import json
import math
import os
import select
import signal
import subprocess
import sys
import time
import types
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from model.base.errors import BadInput, did_you_mean
from model.base.launch_variables import end_with_parent
from model.reinforcement.rewards import REWARDS, Reply, Reward

_LONGEST_START = 120.0
"""Seconds in which the process must have loaded the rewards."""
_LONGEST_ERROR = 300
"""Characters of an error that are kept."""


class RewardProcess:
    """Scores replies, one at a time; the process is started again after a reply that it did not survive."""

    def __init__(self, names: Sequence[str], own: Sequence[str], seconds: float) -> None:
        """Start the process with the rewards `names`, some of them defined by `own` code (RlConfig.own_rewards).

        Raises BadInput for a name that is not known, and for code that cannot be run.
        """
        self._names, self._own, self._seconds = list(names), list(own), seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._start()

    def score(self, reply: Reply, prompt: Mapping[str, Any]) -> dict[str, float] | str:
        """Return the reward of each name; or in words why there is none."""
        if self._process is None:
            self._start()
        answer = self._ask({"reply": asdict(reply), "prompt": prompt}, self._seconds)
        return answer if isinstance(answer, str) else answer.get("rewards") or str(answer.get("error"))

    @property
    def pid(self) -> int | None:
        """The process's number; None where it has ended."""
        return self._process.pid if self._process else None

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def _start(self) -> None:
        command = [sys.executable, "-m", __spec__.name]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        answer = self._ask({"names": self._names, "own": self._own}, _LONGEST_START)
        error = answer if isinstance(answer, str) else answer.get("error")
        if error:
            self.close()
            raise BadInput(str(error))

    def _ask(self, question: Mapping[str, Any], seconds: float) -> dict[str, Any] | str:
        process = self._process
        assert process is not None and process.stdin is not None and process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(json.dumps(question).encode() + b"\n")
            process.stdin.flush()
        deadline, line = time.monotonic() + seconds, b""
        output = select.poll()  # select.select takes no file above number 1023
        output.register(process.stdout, select.POLLIN)
        while not line.endswith(b"\n"):
            ready = output.poll(max(0.0, deadline - time.monotonic()) * 1000)
            read = os.read(process.stdout.fileno(), 1 << 16) if ready else b""
            if not read:
                self.close()
                return f"no reward came within {seconds:g} s" if not ready else "the rewards' process died"
            line += read
        answer: dict[str, Any] = json.loads(line)
        return answer


def rewards_of(names: Sequence[str], own: Sequence[str]) -> dict[str, Reward]:
    """Return the rewards of these names; runs the `own` code.

    Raises BadInput for a name that is not known, and for code that cannot be run.
    """
    known = {**REWARDS, **dict(map(_own_reward, own))}
    for name in names:
        if name not in known:
            hint = did_you_mean(name, known) or "; there are: " + ", ".join(known)
            raise BadInput(f"rewards: there is no reward {name!r}{hint}")
    return {name: known[name] for name in names}


def _own_reward(code: str) -> tuple[str, Reward]:
    named, _, source = code.partition("\n")
    place, _, name = named.rpartition(":")
    module = types.ModuleType("own_rewards")
    try:
        exec(compile(source, place, "exec"), module.__dict__)
        found: Reward = getattr(module, name)
    except Exception as error:
        raise BadInput(f"own_rewards: {named} cannot be run: {_in_words(error)}") from error
    if name in REWARDS or not callable(found):
        raise BadInput(f"own_rewards: {named} must be a function with a name of its own, none of {', '.join(REWARDS)}")
    return name, found


def _scored(rewards: Mapping[str, Reward], question: Mapping[str, Any]) -> dict[str, Any]:
    reply, found = Reply(**question["reply"]), {}
    for name, reward in rewards.items():
        try:
            value = float(reward(reply, question["prompt"]))
        except Exception as error:
            return {"error": f"{name}: {_in_words(error)}"}
        if not math.isfinite(value):
            return {"error": f"{name}: the reward is {value}"}
        found[name] = value
    return {"rewards": found}


def _in_words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:_LONGEST_ERROR]


def _serve() -> None:
    """Answer questions from stdin until it ends; the first one names the rewards."""
    end_with_parent(signal.SIGKILL)
    for number in (signal.SIGINT, signal.SIGTERM):  # the training decides when to stop, after a whole step
        signal.signal(number, signal.SIG_IGN)
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    rewards: dict[str, Reward] = {}
    for line in sys.stdin:
        question = json.loads(line)
        try:
            if "names" in question:
                rewards, answer = rewards_of(question["names"], question["own"]), {}
            else:
                answer = _scored(rewards, question)
        except BadInput as error:
            answer = {"error": str(error)}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    _serve()
