"""Progress in the terminal while a flow runs: a line for each finished stage, a bar for each running one.

Notable: this only listens to log records, most of which Prefect's UI shows as well, so the flow code knows nothing
about terminals. Prefect's own messages about states are left to the UI: an error is told once, where the run ends.
Where the output is no terminal, dots say that the run is starting, and a line now and then stands in place of the bars.
"""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.text import Text

from flows.display.dots import Dots
from flows.display.numbers import duration, rate
from model.base.safe_text import harmless

TERMINAL_LOGGER = "sluice.terminal"
"""For records that only a terminal is to show, since they come every few seconds."""
LOGGERS = ("prefect.flow_runs", "prefect.task_runs", TERMINAL_LOGGER)
_BAR_WIDTH = 20
"""With names, counts and pace beside it, a line has 80 columns."""
_LINE_SECONDS = 30.0
"""Between two lines of one stage, where the output is no terminal."""


class _Pace(ProgressColumn):
    """How fast a stage goes and how long it will take, from what was done since its bar appeared."""

    def render(self, task: Task) -> Text:
        """Return e.g. `12 min 05 s, 3.1/min, 40 min left`."""
        elapsed = task.elapsed or 0.0
        done = task.completed - task.fields.get("begun", 0)
        words = [duration(elapsed)]
        if done > 0 and elapsed > 0 and task.total is not None:
            words.append(rate(done / elapsed))
            if task.completed < task.total:
                words.append(f"{duration((task.total - task.completed) * elapsed / done)} left")
        return Text(", ".join(words), style="dim")


class ProgressHandler(logging.Handler):
    """A handler that turns log records with `stage`, `done` and `total` into bars and prints the others."""

    def __init__(self, console: Console, progress: Progress) -> None:
        super().__init__(logging.INFO)
        self._console = console
        self._progress = progress
        self._pace = _Pace()
        self._bars: dict[str, TaskID] = {}
        self._printed: dict[str, float] = {}
        self._start: TaskID | None = progress.add_task("starting", total=None)
        self._dots = None if console.is_terminal else Dots(console, "Starting the run")

    def emit(self, record: logging.LogRecord) -> None:
        """Show one record."""
        if "/prefect/" in record.pathname.replace("\\", "/"):
            return
        self.end_start()
        stage = getattr(record, "stage", None)
        if stage is not None and hasattr(record, "done"):
            self._show_progress(stage, int(record.done), int(getattr(record, "total", 0)))
            return
        if stage in self._bars and getattr(record, "finished", False):
            self._progress.remove_task(self._bars.pop(stage))
        style = "yellow" if record.levelno >= logging.WARNING else None
        # These texts may quote servers and pages, which must not control the terminal.
        self._console.print(harmless(record.getMessage()), style=style, highlight=False, markup=False, soft_wrap=True)

    def end_start(self) -> None:
        """Take away what says that the run is starting, unless that was done."""
        if self._start is not None:
            self._progress.remove_task(self._start)
            self._start = None
        if self._dots:
            self._dots.end()

    def _show_progress(self, stage: str, done: int, total: int) -> None:
        if stage not in self._bars:
            self._bars[stage] = self._progress.add_task(stage, total=total, completed=done, begun=done)
        bar = self._bars[stage]
        self._progress.update(bar, completed=done, total=total)
        now = time.monotonic()
        if not self._console.is_terminal and now - self._printed.get(stage, 0.0) >= _LINE_SECONDS:
            self._printed[stage] = now
            task = next(task for task in self._progress.tasks if task.id == bar)
            line = f"{stage}: {done:,} of {total:,}, {self._pace.render(task)}"
            self._console.print(line, highlight=False, markup=False, soft_wrap=True)


@contextmanager
def showing_progress(console: Console) -> Iterator[None]:
    """Show the flows' log records on `console` while the block runs."""
    columns = TextColumn("{task.description}"), BarColumn(_BAR_WIDTH), MofNCompleteColumn(), _Pace()
    progress = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
    handler = ProgressHandler(console, progress)
    loggers = [logging.getLogger(name) for name in LOGGERS]
    logging.getLogger(TERMINAL_LOGGER).setLevel(logging.INFO)
    with progress:
        for logger in loggers:
            logger.addHandler(handler)
        try:
            yield
        finally:
            handler.end_start()
            for logger in loggers:
                logger.removeHandler(handler)
