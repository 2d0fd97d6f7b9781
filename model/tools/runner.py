"""Tools in a process of their own, so that a call that takes too long ends and nothing else does.

Notable: the process ends itself by an alarm of the operating system, which no code of a tool holds up; the next call
starts another one. Both sides speak JSON, a line a message.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any, Self

from model.base.errors import BadInput
from model.data.chat_format import ToolCall
from model.tools.registry import load_tools
from model.tools.tool import Tool, ToolError

_START_SECONDS = 60.0
"""Longest time in which the tools must be loaded."""
_CUT = " ..."


@dataclass(frozen=True)
class ToolLimits:
    """What a call may take."""

    seconds: float = 5.0
    """Longest time of a call."""
    characters: int = 600
    """Longest result; more is cut off."""
    rounds: int = 4
    """How often in one answer the model may call and go on with the results."""

    def __post_init__(self) -> None:
        if not 0 < self.seconds < 3600 or self.characters < 1 or self.rounds < 1:
            raise BadInput(f"the limits of tools must be positive, and seconds below 3600: got {self}")


class ToolRunner:
    """Runs calls of tools; any thread may ask it, and one call runs at a time."""

    def __init__(self, names: Sequence[str], limits: ToolLimits | None = None) -> None:
        """Load the tools with these names (`model.tools.registry`); raises BadInput if one cannot be loaded."""
        self.limits = limits or ToolLimits()
        self._names, self._lock = list(names), threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self.definitions: list[dict[str, Any]] = []
        """The tools as a model is told of them."""
        with self._lock:
            self._start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def call(self, call: ToolCall) -> str:
        """Return the result of a call, within the limits, or a text that says why there is none."""
        with self._lock:
            process = self._process or self._start()
            line = json.dumps({"name": call.name, "arguments": call.arguments})
            try:
                _stream(process.stdin).write(line + "\n")
                _stream(process.stdin).flush()
                answer = _stream(process.stdout).readline()
            except BrokenPipeError:  # a tool ended its process after its last call
                answer = ""
            if not answer:
                self._end()
                return _error(f"{call.name} took longer than {self.limits.seconds:g} seconds, or failed")
            return str(json.loads(answer)["result"])

    def close(self) -> None:
        """End the tools' process."""
        with self._lock:
            self._end()

    def _start(self) -> subprocess.Popen[str]:
        settings = json.dumps({"seconds": self.limits.seconds, "characters": self.limits.characters})
        # Tools of the user's own are found where this process finds modules.
        paths = os.pathsep.join(filter(None, sys.path))
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "model.tools.runner", settings, *self._names],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": paths},
            start_new_session=True,
        )
        told = json.loads(_stream(self._process.stdout).readline() or '{"error": "their process ended"}')
        if "error" in told:
            self._end()
            raise BadInput(f"the tools cannot be loaded: {told['error']}")
        self.definitions = told["definitions"]
        return self._process

    def _end(self) -> None:
        if self._process:
            self._process.kill()
            self._process.communicate()
            self._process = None


def _stream(stream: IO[str] | None) -> IO[str]:
    assert stream
    return stream


def _error(message: str) -> str:
    return f"error: {message}"


def run_call(tools: Mapping[str, Tool], name: Any, arguments: str, characters: int) -> str:
    """Return the result of a call, cut to `characters`, or a text that says why there is none."""
    try:
        if name not in tools:
            raise ToolError(f"there is no tool {name}; there are {', '.join(tools)}")
        result = str(tools[name].call(json.loads(arguments)))
    except ToolError as error:
        result = _error(str(error))
    except Exception as error:  # tools may be the user's own
        result = _error(f"{name} failed: {type(error).__name__}")
    return result if len(result) <= characters else result[: max(0, characters - len(_CUT))] + _CUT


def _serve(settings: Mapping[str, Any], names: list[str]) -> None:
    """Answer calls from standard input until it ends; an alarm that nothing handles ends the process."""
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a tool prints is no answer
    signal.setitimer(signal.ITIMER_REAL, _START_SECONDS)
    try:
        tools = load_tools(names)
    except BadInput as error:
        print(json.dumps({"error": str(error)}), file=replies)
        return
    signal.setitimer(signal.ITIMER_REAL, 0)
    print(json.dumps({"definitions": [tool.definition for tool in tools.values()]}), file=replies)
    for line in sys.stdin:
        call = json.loads(line)
        signal.setitimer(signal.ITIMER_REAL, settings["seconds"])
        result = run_call(tools, call["name"], call["arguments"], settings["characters"])
        signal.setitimer(signal.ITIMER_REAL, 0)
        print(json.dumps({"result": result}), file=replies)


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError, KeyboardInterrupt):
        _serve(json.loads(sys.argv[1]), sys.argv[2:])
