"""What Prefect logs of a flow that fails."""

import logging

import pytest
from prefect import flow, task

from flows.monitoring.told_errors import tell_in_sentences
from tasks.base.errors import PermanentError

SENTENCE = "The disk is full: make room for 3 GB."


class Kept(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.mark.parametrize(("error", "has_code"), [(PermanentError(SENTENCE), False), (ValueError(SENTENCE), True)])
def test_an_error_for_a_person_is_its_sentence(prefect_server: str, error: Exception, has_code: bool) -> None:
    """Of any other error the code that it came through is what helps."""

    @task
    def part() -> None:
        raise error

    @flow
    def failing() -> None:
        part()

    tell_in_sentences()
    kept = Kept()
    loggers = [logging.getLogger(name) for name in ("prefect.flow_runs", "prefect.task_runs")]
    for logger in loggers:
        logger.addHandler(kept)
    try:
        with pytest.raises(type(error)):
            failing()
    finally:
        for logger in loggers:
            logger.removeHandler(kept)
    told = [record for record in kept.records if SENTENCE in record.getMessage()]
    assert told
    assert any(record.exc_info for record in told) == has_code
