"""What Prefect and the flow cost beside the work: a thousand small parts, the real flow, on SQLite and on PostgreSQL.

Notable: processor time is counted, by what a process is for, so other work on the machine hardly matters. SQLite is the
server that a run starts for itself; PostgreSQL is the stack of `make server`. PARTS in the environment sets the number.
The flow's memory is printed as the run goes on: parts are submitted in a window, so it does not grow with them.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from flows.server.postgres import postgres_programs
from tests.bench.flow.many_warcs import write_many_warcs
from tests.conftest import ROOT, sluice_command
from tests.flows.running_programs import free_port, running, wait_until
from tests.tasks.crawl_mirror import CRAWL

PARTS = int(os.environ.get("PARTS", "1000"))
STAGES = 2
"""Fetch and extract: each has a part for every WARC file."""
WARC_SECONDS = 600.0
"""Processor time that the stages take for a real WARC file at the least: 25,000 pages of 24 ms."""
MOST_OF_THE_WORK = 0.02
ROLES = {"flow": "flows.cli", "server": "uvicorn", "database": "postgres", "work": "fork_server"}
"""What a process is for, by a word of its command line."""
_RECIPE = f"name: many\nsource: {{base: BASE, crawl: {CRAWL}, warcs: all}}\ntokenizer: null\n"


@contextmanager
def server(database: str, folder: Path) -> Iterator[tuple[dict[str, str], list[int]]]:
    """The variables that name a server, and the process to look below; neither for the run's own on SQLite."""
    if database == "sqlite":
        yield {}, []
        return
    stack = [sys.executable, "-m", "flows.server", str(folder / "server"), "--port", str(free_port())]
    with running(stack, dict(os.environ), folder / "server.log") as process:
        wait_until(lambda: "started!" in (folder / "server.log").read_text(), folder)
        lines = (folder / "server" / "environment").read_text().splitlines()
        words = (line.removeprefix("export ").split("=", 1) for line in lines)
        yield {name: value.strip("'") for name, value in words}, [process.pid]


def sample(roots: list[int], spent: dict[int, tuple[str, float]], peak: dict[str, int]) -> int:
    """Note the processor time of every process below `roots`, ended children included, and the most memory by role;
    return the bytes that the flow has now."""
    resident: dict[str, int] = defaultdict(int)
    for root in roots:
        with suppress(psutil.NoSuchProcess):
            for process in [psutil.Process(root), *psutil.Process(root).children(recursive=True)]:
                with suppress(psutil.NoSuchProcess):
                    words = " ".join(process.cmdline())
                    role = next((role for role, word in ROLES.items() if word in words), None)
                    if role is None or (role == "work" and process.ppid() in spent):
                        continue
                    times = process.cpu_times()
                    ended = times.children_user + times.children_system if role == "work" else 0.0
                    spent[process.pid] = role, times.user + times.system + ended
                    resident[role] += process.memory_info().rss
    for role, size in resident.items():
        peak[role] = max(peak.get(role, 0), size)
    return resident["flow"]


@pytest.mark.bench
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_orchestration_is_a_small_part_of_the_work(database: str) -> None:
    if database == "postgresql" and postgres_programs() is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    with tempfile.TemporaryDirectory(prefix="sluice-bench-") as name:
        folder = Path(name)
        folder.chmod(0o711)  # PostgreSQL's user passes through
        write_many_warcs(folder / "web", PARTS)
        (folder / "many.yaml").write_text(_RECIPE.replace("BASE", str(folder / "web")))
        command = sluice_command("corpus", str(folder / "many.yaml"), "--store", str(folder / "store"))
        plain = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
        spent: dict[int, tuple[str, float]] = {}
        peak: dict[str, int] = {}
        with server(database, folder) as (variables, roots):
            before: dict[int, tuple[str, float]] = {}
            course: list[int] = []
            sample(roots, before, {})
            environment = plain | variables | {"PYTHONPATH": str(ROOT), "HOME": name}
            began = time.monotonic()
            with subprocess.Popen([*command, "--until", "extract"], env=environment) as run:
                while run.poll() is None:
                    course.append(sample([*roots, run.pid], spent, peak))
                    time.sleep(0.5)
            seconds = time.monotonic() - began
            time.sleep(30 if roots else 0)  # what the run reported is still being recorded
            sample(roots, spent, peak)
        assert run.returncode == 0
        assert len(list((folder / "store" / "datasets" / "extract").rglob("*.parquet"))) == PARTS
    by_role: dict[str, float] = defaultdict(float)
    for pid, (role, used) in spent.items():
        by_role[role] += used - before.get(pid, (role, 0.0))[1]
    print(f"\n{database}, {PARTS} parts of {STAGES} stages, {seconds:.0f} s")
    for role, used in by_role.items():
        per_part = used / PARTS / STAGES * 1e3
        print(f"{role:9} {used:7.1f} s of processor time, {per_part:6.2f} ms a part, {peak[role] >> 20} MiB at most")
    tenths = [course[len(course) * tenth // 10] >> 20 for tenth in range(1, 10)]
    print("memory of the flow after each tenth of the time:", *tenths, "MiB")
    cost = sum(used for role, used in by_role.items() if role != "work") / PARTS
    print(f"orchestration of a WARC file's two parts: {cost:.3f} s, {cost / WARC_SECONDS:.3%} of a real one's work")
    assert cost < MOST_OF_THE_WORK * WARC_SECONDS
