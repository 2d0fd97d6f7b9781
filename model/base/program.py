"""How the model's programs end: exit code, message, and an outcome file beside the config. Needs no torch.

Notable:
- `accelerate launch` turns every exit code but 0 into 1, so the code alone cannot tell a wrong config from a crash. The
  main process therefore also writes `<config name>.outcome.json`: {"exit_code": int, "message": str}, and "diverged":
  true where training did. The file is removed at the start; if it is missing at the end, the program was killed, or the
  disk had no room for it.
- A full disk counts as bad input: until someone makes room, every retry would end the same way.
- Where one process of several ends, the others notice it in their next exchange. That is no error of theirs. They then
  end without Python's cleaning up: gloo's thread, which still waits for the lost one, would abort them one time in ten.
"""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from model.base.errors import BadInput, Diverged
from model.base.full_disk import full_disk_message, is_full_disk, written_whole
from model.base.launch_variables import drop_leftover_ranks, end_with_launcher
from model.base.safe_text import harmless

EXIT_DONE = 0
EXIT_FAILED = 1
EXIT_BAD_INPUT = 2
EXIT_STOPPED = 3
"""Stopped by SIGTERM after a checkpoint."""


def run_program(program: Callable[[Path], int], arguments: list[str], usage: str) -> int:
    """Run `program` on the config file named by the first argument and return the process's exit code.

    Where another process was lost, this one ends here. `program` returns `EXIT_DONE` or `EXIT_STOPPED`; `usage` is
    printed when the arguments are not understood. With `--processes N` after the path it is bad input if a launcher
    started another number: accelerate, for one, may start a single process where it was asked for several.
    """
    match arguments:
        case [path]:
            asked = None
        case [path, "--processes", number] if number.isdecimal():
            asked = int(number)
        case _:
            path = "--usage"
    if path.startswith("-"):
        print(usage, file=sys.stderr)
        return EXIT_DONE if arguments in (["-h"], ["--help"]) else EXIT_BAD_INPUT
    config_path = Path(path)
    outcome = outcome_path(config_path)
    drop_leftover_ranks()
    end_with_launcher()
    main_process = _rank() == "0"
    if main_process:
        outcome.unlink(missing_ok=True)
    message, diverged, lost = "", False, False
    try:
        _require_processes(asked)
        code = program(config_path)
    except BadInput as error:
        code, message, diverged = EXIT_BAD_INPUT, str(error), isinstance(error, Diverged)
    except OSError as error:
        if not is_full_disk(error):
            raise
        code, message = EXIT_BAD_INPUT, full_disk_message(error)
    except RuntimeError as error:
        if not _lost_another_process(error):
            raise
        lost = True
        code, message = EXIT_FAILED, f"process {_rank()} lost another one, which has ended: {error}"
    if message:
        print_error(message)
    if main_process and outcome.parent.is_dir():
        said = {"exit_code": code, "message": message}
        _write_outcome(outcome, said | ({"diverged": True} if diverged else {}))
    if lost:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code


def run_command(action: Callable[[], None]) -> int:
    """Run an action of the command line and return the exit code; a `BadInput` is printed to stderr."""
    try:
        action()
    except BadInput as error:
        print_error(error)
        return EXIT_BAD_INPUT
    return EXIT_DONE


def print_error(error: object) -> None:
    """Print an error's message to stderr; it may quote files from anywhere, which must not control the terminal."""
    print(f"error: {harmless(str(error))}", file=sys.stderr)


def _require_processes(asked: int | None) -> None:
    started = int(os.environ.get("WORLD_SIZE", "1"))
    if asked not in (None, started):
        raise BadInput(
            f"{asked} processes were asked for and {started} started; check the launcher's config and that every "
            "machine runs its launcher, or leave --processes out to train on as many as there are"
        )


def _rank() -> str:
    return os.environ.get("RANK", "0")


def _lost_another_process(error: RuntimeError) -> bool:
    """Return whether gloo or NCCL (torch.distributed.DistBackendError) reports that another process has gone."""
    said = str(error)
    return "Connection closed by peer" in said or "Connection reset by peer" in said or "remote process exited" in said


def outcome_path(config_path: Path) -> Path:
    """Return where `run_program` writes the outcome of the program that was given `config_path`."""
    return config_path.with_suffix(".outcome.json")


def _write_outcome(outcome: Path, said: dict[str, Any]) -> None:
    # A file that a kill or a full disk cut short would hide the exit code.
    try:
        with written_whole(outcome) as file:
            file.write_text(json.dumps(said) + "\n", encoding="utf-8")
    except OSError as error:
        print(f"warning: cannot write {outcome}: {error.strerror}", file=sys.stderr)
