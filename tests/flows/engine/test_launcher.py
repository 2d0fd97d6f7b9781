"""Programs say what they have to say and end when they should, with all their processes."""

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from threading import Event, Thread

import pytest

from flows.engine.launcher import run_program, supervised
from tests.conftest import ROOT

PROGRAM = Path(__file__).with_name("launched_program.py")
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def command(folder: Path, behaviour: str) -> list[str]:
    return [sys.executable, str(PROGRAM), str(folder), behaviour]


def accelerate(processes: int) -> list[str]:
    several = ["--multi_gpu"] if processes > 1 else ["--cpu"]
    machine = ["--num_processes", str(processes), "--num_machines", "1", "--mixed_precision", "no"]
    return [sys.executable, "-m", "accelerate.commands.launch", *several, *machine, "--dynamo_backend", "no"]


def pids(folder: Path) -> list[int]:
    return [int(file.name.removeprefix("pid-")) for file in folder.glob("pid-*")]


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return False


def interrupt_when_ready(lines: list[str], count: int = 1) -> Callable[[str], None]:
    def on_line(line: str) -> None:
        lines.append(line)
        if sum("ready" in said for said in lines) == count and "ready" in line:
            raise KeyboardInterrupt

    return on_line


def test_lines_and_exit_code() -> None:
    lines: list[str] = []
    script = (
        "import sys; print('out'); print('bad', file=sys.stderr); sys.stdout.write('1%\\r2%\\r\\nlast'); sys.exit(7)"
    )
    assert run_program([sys.executable, "-u", "-c", script], lines.append) == 7
    assert lines == ["out", "bad", "1%", "2%", "last"]


def test_lines_arrive_while_the_program_runs() -> None:
    script = "import time\nfor n in range(3): print(n); time.sleep(0.3)"
    times: list[float] = []
    run_program([sys.executable, "-c", script], lambda line: times.append(time.monotonic()))
    assert times[2] - times[0] > 0.4


def test_environment_and_folder_are_the_callers(tmp_path: Path) -> None:
    lines: list[str] = []
    script = "import os; print(os.environ['SLUICE_TEST'], 'PATH' in os.environ, os.getcwd())"
    run_program([sys.executable, "-c", script], lines.append, env={"SLUICE_TEST": "set"}, cwd=tmp_path)
    assert lines == [f"set True {tmp_path}"]


def test_a_variable_can_be_taken_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLUICE_TEST", "set")
    lines: list[str] = []
    script = "import os; print('SLUICE_TEST' in os.environ)"
    run_program([sys.executable, "-c", script], lines.append, env={"SLUICE_TEST": None})
    assert lines == ["False"]


def test_a_flow_may_have_many_files_open() -> None:
    """Parts, sockets and logs: select.select, in the flow or in the supervisor, takes no file above number 1023."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 1300:
        pytest.skip("no more files are allowed here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 1300), hard))
    held = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
    lines: list[str] = []
    try:
        assert run_program([sys.executable, "-c", "print('done')"], lines.append) == 0
        with supervised([sys.executable, "-c", "import time; print('up'); time.sleep(60)"]) as program:
            assert next(program.lines()) == "up"
            program.ask_to_end()
            assert program.wait() == 128 + signal.SIGTERM
    finally:
        for file in held:
            os.close(file)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert lines == ["done"]


@pytest.mark.parametrize(
    ("script", "code"),
    [("import os; os.kill(os.getpid(), 9)", 137), ("import os; os.abort()", 134), ("import sys; sys.exit(3)", 3)],
)
def test_exit_codes(script: str, code: int) -> None:
    assert run_program([sys.executable, "-c", script], lambda line: None) == code


def test_a_command_that_does_not_exist() -> None:
    lines: list[str] = []
    assert run_program(["/no/such/program"], lines.append) == 127
    assert lines == ["/no/such/program: No such file or directory"]


@linux_only
def test_what_a_program_leaves_running_is_ended_with_it(tmp_path: Path) -> None:
    script = f"import subprocess, sys; subprocess.Popen({command(tmp_path, 'sleep')!r}, start_new_session=True)"
    script += "\nimport pathlib, time\nwhile not list(pathlib.Path(sys.argv[1]).glob('pid-*')): time.sleep(0.05)"
    assert run_program([sys.executable, "-c", script, str(tmp_path)], lambda line: None) == 0
    assert not any(map(is_alive, pids(tmp_path)))


@linux_only
def test_an_interrupted_program_may_save_and_is_heard_to_its_end(tmp_path: Path) -> None:
    lines: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        run_program(command(tmp_path, "sleep"), interrupt_when_ready(lines), grace_seconds=20)
    assert lines == ["rank 0 ready", "rank 0 saving", "rank 0 saved"]
    assert not any(map(is_alive, pids(tmp_path)))


@linux_only
def test_another_thread_may_end_a_program(tmp_path: Path) -> None:
    lines: list[str] = []
    stopping = Event()

    def on_line(line: str) -> None:
        lines.append(line)
        Thread(target=stopping.set).start()

    run_program(command(tmp_path, "sleep"), on_line, grace_seconds=20, stopping=stopping)
    assert lines == ["rank 0 ready", "rank 0 saving", "rank 0 saved"]
    assert not any(map(is_alive, pids(tmp_path)))


@linux_only
@pytest.mark.parametrize("behaviour", ["stubborn", "daemon"])
def test_what_does_not_end_is_killed_after_the_grace(tmp_path: Path, behaviour: str) -> None:
    lines: list[str] = []
    count = 2 if behaviour == "daemon" else 1
    with pytest.raises(KeyboardInterrupt):
        run_program(command(tmp_path, behaviour), interrupt_when_ready(lines, count), grace_seconds=0.8)
    assert len(pids(tmp_path)) == count
    assert not any(map(is_alive, pids(tmp_path)))


@linux_only
@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.skipif(find_spec("accelerate") is None, reason="needs the train extra")
def test_accelerates_workers_save_and_end(tmp_path: Path, processes: int) -> None:
    lines: list[str] = []
    launch = [*accelerate(processes), str(PROGRAM), str(tmp_path), "sleep"]
    with pytest.raises(KeyboardInterrupt):
        run_program(launch, interrupt_when_ready(lines, processes), grace_seconds=30)
    assert sorted(file.name for file in tmp_path.glob("saved-*")) == [f"saved-{rank}" for rank in range(processes)]
    assert len(pids(tmp_path)) == processes
    assert not any(map(is_alive, pids(tmp_path)))


def start_flow(program: list[str]) -> subprocess.Popen[bytes]:
    flow = f"from flows.engine.launcher import run_program; run_program({program!r}, print)"
    return subprocess.Popen([sys.executable, "-c", flow], cwd=ROOT, stdout=subprocess.DEVNULL)


@linux_only
@pytest.mark.parametrize("processes", [0, 1, 2])
def test_no_orphan_when_the_flow_is_killed(tmp_path: Path, processes: int) -> None:
    if processes and find_spec("accelerate") is None:
        pytest.skip("needs the train extra")
    launch = [*accelerate(processes), str(PROGRAM)] if processes else [sys.executable, str(PROGRAM)]
    flow = start_flow([*launch, str(tmp_path), "stubborn"])
    try:
        assert wait_until(lambda: len(pids(tmp_path)) == max(1, processes))
        assert all(map(is_alive, pids(tmp_path)))
    finally:
        flow.kill()
        flow.wait()
    assert wait_until(lambda: not any(map(is_alive, pids(tmp_path))), 5)


@linux_only
def test_a_killed_supervisor_takes_the_program_along(tmp_path: Path) -> None:
    with supervised(command(tmp_path, "stubborn")) as program:
        assert wait_until(lambda: bool(pids(tmp_path)))
        (pid,) = pids(tmp_path)
        supervisor = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        os.kill(supervisor, signal.SIGKILL)
        assert program.wait() == 137
        assert wait_until(lambda: not is_alive(pid), 5)


def test_the_launcher_does_not_import_torch() -> None:
    script = "import sys, flows.engine.launcher; sys.exit('torch' in sys.modules or 'prefect' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], cwd=ROOT).returncode == 0
