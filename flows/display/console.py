"""Progress in the terminal while a flow runs: a line for each finished stage, a bar for each running one.

Notable: this only listens to log records, most of which Prefect's UI shows as well, so the flow code knows nothing
about terminals. Prefect's own messages about states are left to the UI: an error is told once, where the run ends.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from model.base.safe_text import harmless

TERMINAL_LOGGER = "sluice.terminal"
"""For records that only a terminal is to show, since they come every few seconds."""
LOGGERS = ("prefect.flow_runs", "prefect.task_runs", TERMINAL_LOGGER)


class ProgressHandler(logging.Handler):
    """A handler that turns log records with `stage`, `done` and `total` into bars and prints the others."""

    def __init__(self, console: Console, progress: Progress) -> None:
        super().__init__(logging.INFO)
        self._console = console
        self._progress = progress
        self._bars: dict[str, TaskID] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Show one record."""
        if "/prefect/" in record.pathname.replace("\\", "/"):
            return
        stage = getattr(record, "stage", None)
        if stage is not None and hasattr(record, "done"):
            total = int(getattr(record, "total", 0))
            if stage not in self._bars:
                self._bars[stage] = self._progress.add_task(stage, total=total)
            self._progress.update(self._bars[stage], completed=int(record.done), total=total)
            return
        if stage in self._bars and getattr(record, "finished", False):
            self._progress.remove_task(self._bars.pop(stage))
        style = "yellow" if record.levelno >= logging.WARNING else None
        # These texts may quote servers and pages, which must not control the terminal.
        self._console.print(harmless(record.getMessage()), style=style, highlight=False, markup=False, soft_wrap=True)


@contextmanager
def showing_progress(console: Console) -> Iterator[None]:
    """Show the flows' log records on `console` while the block runs."""
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    progress = Progress(*columns, console=console, transient=True)
    handler = ProgressHandler(console, progress)
    loggers = [logging.getLogger(name) for name in LOGGERS]
    logging.getLogger(TERMINAL_LOGGER).setLevel(logging.INFO)
    with progress:
        for logger in loggers:
            logger.addHandler(handler)
        try:
            yield
        finally:
            for logger in loggers:
                logger.removeHandler(handler)
