"""A run that is cancelled in Prefect's UI, or by Ctrl-C, and has no worker that sees to it.

Notable:
- Prefect leaves ending a run to the worker that started its process. A run that `sluice` started has none, and that of
  a worker that is gone has none either: its process looks itself, every second, whether it is to end.
- Prefect calls a flow that a signal ends crashed, unless its worker asked for it. So the state is set here, and the
  flow is left with `Abort`, by which Prefect takes it as set.
- It goes on from the first moment of a run to the last: planning lists a crawl, and a report reads a store.
"""

import contextvars
import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.exceptions import Abort
from prefect.runtime import flow_run
from prefect.states import Cancelled

from flows.store.run_record import in_words

LOOK_SECONDS = 1.0
_WORKER_SECONDS = 20.0
"""What a worker, where there is one, has to end the run itself."""


class CancellationWatch:
    """Ends this process by SIGTERM once its run is to be cancelled, and leaves the run as Cancelled.

    A context manager, inside the flow.
    """

    def __init__(self) -> None:
        self.on_look: Callable[[], None] = lambda: None
        """Called at each look, in a thread of its own in the context of the flow."""
        self._root = UUID(flow_run.get_root_flow_run_id() or flow_run.get_id())
        self._runs = {UUID(flow_run.get_id()), self._root}
        self._ended = threading.Event()
        self._watching = threading.Thread(
            target=contextvars.copy_context().run, args=[self._watch], name="cancellation", daemon=True
        )
        self._asked = False

    def __enter__(self) -> "CancellationWatch":
        self._watching.start()
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._ended.set()
        self._watching.join()
        if error is None or isinstance(error, Exception):
            return
        # What a worker ends it also sets to Cancelled, some seconds later: a run that is Cancelled before that could be
        # taken up again, and be cancelled once more.
        if (self._asked or not has_worker()) and not flow_run.get_parent_flow_run_id():
            raise _end_as_cancelled(in_words(error)) from error

    def _watch(self) -> None:
        with get_client(sync_client=True) as client:
            while not self._ended.wait(LOOK_SECONDS):
                self.on_look()
                cancelled = False
                with suppress(Exception):  # a server that does not answer now may do so next time
                    cancelled = any(_is_cancelled(client.read_flow_run(run).state) for run in self._runs)
                if cancelled and not self._ended.wait(_WORKER_SECONDS if has_worker() else 0):
                    self._asked = True
                    os.kill(os.getpid(), signal.SIGTERM)
                    return


def _is_cancelled(state: State[Any] | None) -> bool:
    return state is not None and (state.is_cancelling() or state.is_cancelled())


def has_worker() -> bool:
    """Return whether a worker, or `serve`, started this process and answers for its run's last state."""
    return os.environ.get("PREFECT__ENABLE_CANCELLATION_AND_CRASHED_HOOKS", "true").lower() == "false"


def _end_as_cancelled(words: str) -> Abort:
    """Set this flow run's state to Cancelled; return what the flow must be left with for that to stay."""
    state: State[Any] = Cancelled(message=words)
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(UUID(flow_run.get_id()), state, force=True)
    ended = Abort(words)
    ended.state = state  # type: ignore[attr-defined]
    return ended
