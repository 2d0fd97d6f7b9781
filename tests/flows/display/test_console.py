"""The terminal shows what the run says; Prefect's own messages stay in its log."""

import logging

from rich.console import Console

from flows.display.console import LOGGERS, showing_progress


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
    assert set(console.export_text().split("\n")) - {""} == {"filter: done in 0.8 s"}
