"""The terminal shows what the run says; Prefect's own messages stay in its log."""

import logging
import re
import time
from io import StringIO

from rich.console import Console

from flows.display.console import LOGGERS, TERMINAL_LOGGER, showing_progress


def test_prefects_own_messages_are_not_shown() -> None:
    """An error is told once, by the command, and an interrupted run has not crashed."""
    console = Console(record=True, width=100)
    with showing_progress(console):
        for path, words in (
            ("/site-packages/prefect/flow_engine.py", "Crash detected! Execution was aborted by an interrupt signal."),
            ("/site-packages/prefect/flow_engine.py", "Finished in state Failed()"),
            ("/site-packages/flows/engine/build.py", "filter: done in 0.8 s"),
        ):
            for name in LOGGERS:
                logger = logging.getLogger(name)
                logger.handle(logger.makeRecord(name, logging.ERROR, path, 1, words, (), None))
    assert set(console.export_text().split("\n")) - {""} == {"Starting the run", "filter: done in 0.8 s"}


def tell(stage: str, done: int, total: int) -> None:
    """What a flow says when parts of a stage are done."""
    logger = logging.getLogger(TERMINAL_LOGGER)
    extra = {"stage": stage, "done": done, "total": total}
    logger.handle(logger.makeRecord(TERMINAL_LOGGER, logging.INFO, "/flows/run.py", 1, "", (), None, extra=extra))


def test_a_bar_shows_pace_and_what_is_left_within_80_columns() -> None:
    said = StringIO()
    with showing_progress(Console(file=said, force_terminal=True, width=80, color_system=None)):
        tell("evaluation", 10_000, 100_000)
        time.sleep(0.3)
        tell("evaluation", 20_000, 100_000)
        time.sleep(0.3)
    shown = [re.sub("\x1b.*?[a-zA-Z]", "", line).strip() for line in re.split("[\r\n]", said.getvalue())]
    bars = [line for line in shown if "20000/100000" in line]
    assert bars and all(len(line) <= 80 for line in bars)
    assert re.search(r"\d+\.\d s, [\d,.]+/s, \d+\.\d s left", bars[-1])


def test_without_a_terminal_a_stage_has_a_line_now_and_then() -> None:
    said = StringIO()
    with showing_progress(Console(file=said, width=80)):
        for done in range(100):
            tell("extract", done, 100)
        tell("filter", 3, 4)
    lines = [line.partition(" of ")[0] for line in said.getvalue().splitlines()]
    assert lines == ["Starting the run", "extract: 0", "filter: 3"]


def test_without_a_terminal_dots_say_that_the_run_is_starting() -> None:
    said = StringIO()
    with showing_progress(Console(file=said, width=80)):
        time.sleep(1.3)
        tell("extract", 1, 2)
        time.sleep(1.3)
    first, *rest = said.getvalue().splitlines()
    assert re.fullmatch(r"Starting the run\.{1,3}", first) and len(rest) == 1
