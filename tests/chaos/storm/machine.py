"""The machine that a storm has to itself: a disk that fills up, a clock that is set, and its own processes.

Notable: every process of the storm carries a mark in its environment, so that what escaped is found wherever it is. The
disk is a small filesystem in memory, which only root can mount; without root it is a folder, and never full.
"""

import os
import shutil
import struct
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.conftest import ROOT

_MARK = "SLUICE_STORM"
_DISK_MIB = 256
_CLOCK_SOURCE = Path(__file__).with_name("shifted_clock.c")


@dataclass
class Running:
    """A program of the storm and what it says."""

    process: subprocess.Popen[bytes]
    log: Path

    def said(self) -> str:
        """All that it has printed."""
        return self.log.read_text(errors="replace")

    def last_words(self) -> str:
        """The last line that it printed."""
        return next((line.strip() for line in reversed(self.said().splitlines()) if line.strip()), "")


class Machine:
    """Where the storm rages. A context manager: nothing of it is left afterwards."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.disk, self.temporary = folder, folder / "disk", folder / "tmp"
        for path in (self.disk, self.temporary, folder / "home"):
            path.mkdir()
        for path in (folder, self.temporary):
            path.chmod(0o711 if path == folder else 0o1777)  # PostgreSQL's user passes through
        self.has_disk = self._mount("-t", "tmpfs", "-o", f"size={_DISK_MIB}m", "tmpfs")
        self._clock = folder / "clock"
        self._clock.write_bytes(struct.pack("q", 0))
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")},
            **{"DO_NOT_TRACK": "1", "HF_HUB_OFFLINE": "1", "NO_COLOR": "1", "COLUMNS": "200"},
            **{"PREFECT_SERVER_ANALYTICS_ENABLED": "false", "PYTHONPATH": str(ROOT)},
            **{"HOME": str(folder / "home"), "TMPDIR": str(self.temporary), _MARK: folder.name},
        }
        self.has_clock = self._build_clock()

    def __enter__(self) -> "Machine":
        return self

    def __exit__(self, *error: object) -> None:
        self.kill_all()
        if self.has_disk:
            subprocess.run(["umount", "--lazy", str(self.disk)], check=False)

    def start(self, name: str, command: Sequence[str], extra: Mapping[str, str] | None = None) -> Running:
        """Start a program in a session of its own, its output in a log."""
        log = self.folder / f"{name}.log"
        with log.open("w") as output:
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env={**self.environment, **(extra or {})},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return Running(process, log)

    def processes(self, *words: str) -> list[psutil.Process]:
        """The storm's processes that are alive; only those whose command line has one of the words, if any is given."""
        found: dict[int, psutil.Process] = {}
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                # PostgreSQL's processes write their titles over their environment.
                ours = process.ppid() in found or process.environ().get(_MARK) == self.folder.name
                if ours and process.status() != psutil.STATUS_ZOMBIE:
                    found[process.pid] = process
        return [process for process in found.values() if not words or any(word in title(process) for word in words)]

    def kill_all(self) -> None:
        """Kill every process of the storm, as a power cut would."""
        while found := self.processes():
            for process in found:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            time.sleep(0.05)

    def still_alive(self, seconds: float) -> list[str]:
        """The processes that have not gone within so many seconds."""
        deadline = time.monotonic() + seconds
        while (alive := self.processes()) and time.monotonic() < deadline:
            time.sleep(0.2)
        return [f"still there: {process.pid} {title(process)[:150]}" for process in alive]

    def set_clock(self, seconds: int) -> None:
        """Set the clock of all processes so many seconds from the right time."""
        with self._clock.open("r+b") as file:
            file.write(struct.pack("q", seconds))

    def fill_disk(self) -> None:
        """Leave no byte on the disk."""
        with suppress(OSError), (self.disk / "filler").open("wb", buffering=0) as file:
            while file.write(bytes(1 << 16)):
                pass

    def empty_disk(self) -> None:
        """Undo `fill_disk`."""
        (self.disk / "filler").unlink()

    def make_disk(self, mode: str) -> None:
        """Make the disk `ro` or `rw`, as soon as nobody has a file on it open for writing."""
        while not self._mount("-o", f"remount,{mode}"):
            time.sleep(0.2)

    def _mount(self, *options: str) -> bool:
        if shutil.which("mount") is None:
            return False
        return subprocess.run(["mount", *options, str(self.disk)], capture_output=True, check=False).returncode == 0

    def _build_clock(self) -> bool:
        compiler, library = shutil.which("cc"), self.folder / "shifted_clock.so"
        if compiler is None:
            return False
        subprocess.run([compiler, "-shared", "-fPIC", "-o", str(library), str(_CLOCK_SOURCE), "-ldl"], check=True)
        self.environment |= {"LD_PRELOAD": str(library), "SHIFTED_CLOCK": str(self._clock)}
        return True


def title(process: psutil.Process) -> str:
    """A process's command line; its name where that is empty."""
    with suppress(psutil.Error, OSError):
        return " ".join(process.cmdline()) or process.name()
    return ""
