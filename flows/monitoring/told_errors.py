"""Errors that are written for a person reach Prefect's log as their sentence, without the code that they came through.

Notable: Prefect logs what a flow or a task raises with its traceback, for its UI as for the worker's terminal.
"""

import logging

from tasks.base.errors import SluiceError

_LOGGERS = ("prefect.flow_runs", "prefect.task_runs", "prefect.engine")


class _Sentence(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        if record.exc_info and isinstance(record.exc_info[1], SluiceError):
            record.exc_info = None
        return True


_SENTENCE = _Sentence()


def tell_in_sentences() -> None:
    """Have this process's runs log such errors so, from now on."""
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_SENTENCE)
