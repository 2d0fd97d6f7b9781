"""How programs end when the disk is full, or another process of theirs has ended."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from model.base.errors import Diverged
from model.base.full_disk import system_error_in, writing
from model.base.program import EXIT_BAD_INPUT, EXIT_DONE, EXIT_FAILED, outcome_path, run_program
from tests.conftest import ROOT
from tests.flows.running_programs import free_port

LOSING_THE_OTHER = """
import os, sys
import torch
import torch.distributed as dist
from model.base.program import run_program

def program(config):
    dist.init_process_group("gloo")
    dist.barrier()
    if dist.get_rank() == 1:
        os._exit(9)
    for _ in range(100):
        dist.all_reduce(torch.zeros(1))

sys.exit(run_program(program, sys.argv[1:], "usage"))
"""


def raising(error: Exception) -> int:
    """A program that ends with `error`."""
    raise error


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_bad_input_with_a_remedy(tmp_path: Path, number: int) -> None:
    config = tmp_path / "config.json"
    error = OSError(number, os.strerror(number), "models/base/metrics.jsonl")
    assert run_program(lambda _: raising(error), [str(config)], "usage") == EXIT_BAD_INPUT
    assert json.loads(outcome_path(config).read_text()) == {
        "exit_code": EXIT_BAD_INPUT,
        "message": f"cannot write models/base/metrics.jsonl: {os.strerror(number)}; the last good checkpoint is "
        "intact, make room and start the same command again to go on from it",
    }


def test_an_outcome_says_that_training_diverged(tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    assert run_program(lambda _: raising(Diverged("far too high")), [str(config)], "usage") == EXIT_BAD_INPUT
    said = {"exit_code": EXIT_BAD_INPUT, "message": "far too high", "diverged": True}
    assert json.loads(outcome_path(config).read_text()) == said


def test_other_system_errors_remain_crashes(tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    with pytest.raises(PermissionError):
        run_program(lambda _: raising(PermissionError(errno.EACCES, "no")), [str(config)], "usage")
    assert not outcome_path(config).exists()


def test_an_outcome_that_cannot_be_written_hides_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    config = tmp_path / "config.json"
    assert run_program(lambda _: full(), [str(config)], "usage") == EXIT_BAD_INPUT
    assert run_program(lambda _: EXIT_DONE, [str(config)], "usage") == EXIT_DONE
    said = capsys.readouterr().err
    assert "error: cannot write a file: No space left on device" in said
    assert said.count(f"warning: cannot write {outcome_path(config)}") == 2


def test_the_file_is_named_where_the_system_does_not() -> None:
    for given, named in ((None, "a.bin"), ("b.bin", "b.bin")):
        with pytest.raises(OSError, match=named), writing(Path("a.bin")):
            raise OSError(errno.ENOSPC, "full", given)
    text = ValueError("Error while serializing: I/O error: No space left on device (os error 28)")
    found = system_error_in(text, Path("model.safetensors"))
    assert found is not None and (found.errno, found.filename) == (errno.ENOSPC, "model.safetensors")
    assert system_error_in(ValueError("the header is too large"), Path("x")) is None


@pytest.mark.slow
def test_a_process_whose_neighbour_ended_says_so(tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": "2", "PYTHONPATH": str(ROOT)}
    first, second = (
        subprocess.Popen(
            [sys.executable, "-c", LOSING_THE_OTHER, str(config)],
            env=os.environ | place | {"RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in (0, 1)
    )
    said = first.communicate(timeout=120)[1]
    second.communicate(timeout=120)
    assert (first.returncode, second.returncode) == (EXIT_FAILED, 9)
    assert "error: process 0 lost another one, which has ended: " in said and "Traceback" not in said
    assert json.loads(outcome_path(config).read_text())["exit_code"] == EXIT_FAILED
