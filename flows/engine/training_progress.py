"""How far a training is, from the metrics log that it writes: to the terminal, to the observers and to the log.

Notable: what the terminal shows has a logger of its own, which is silent without a terminal. Prefect's log gets a line
a minute.
"""

import contextlib
import contextvars
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from flows.display.console import TERMINAL_LOGGER
from flows.prepare.planned_run import Logger
from flows.store.training_log import TrainingStep, newest_step

_LOOK_SECONDS = 2.0
_LOG_SECONDS = 60.0
_TAIL_BYTES = 4096


@contextlib.contextmanager
def reporting_steps(
    logger: Logger, metrics: Path, stage: str, steps: int, on_step: Callable[[TrainingStep], None]
) -> Iterator[None]:
    """Report the newest step every few seconds while the block runs, and once more after it.

    `on_step` is called in another thread, in the context of this one.
    """
    ended = threading.Event()
    terminal = logging.getLogger(TERMINAL_LOGGER)

    def report() -> None:
        logged = time.monotonic()
        while not ended.wait(_LOOK_SECONDS):
            if newest := _newest_step(metrics):
                words = "%s: step %d of %d, loss %.3f", stage, newest.step, steps, newest.loss
                terminal.info(*words, extra={"stage": stage, "done": newest.step, "total": steps})
                if time.monotonic() - logged >= _LOG_SECONDS:
                    logged = time.monotonic()
                    logger.info(*words)
                on_step(newest)
        if newest := _newest_step(metrics):
            on_step(newest)

    reporter = threading.Thread(
        target=contextvars.copy_context().run, args=[report], name=f"{stage} progress", daemon=True
    )
    reporter.start()
    try:
        yield
    finally:
        ended.set()
        reporter.join()


def _newest_step(metrics: Path) -> TrainingStep | None:
    """Return the last whole step of a metrics log, read from its end."""
    tail = b""
    with contextlib.suppress(OSError), metrics.open("rb") as file:
        file.seek(0, os.SEEK_END)
        file.seek(max(0, file.tell() - _TAIL_BYTES))
        tail = file.read()
    return newest_step(tail.decode(errors="replace"))
