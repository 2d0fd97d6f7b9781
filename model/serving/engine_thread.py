"""The engine on a thread of its own, and what connects it with the event loop.

Notable: only this thread touches the engine. Commands reach it through a queue and are obeyed between two steps; the
events of a step go to the event loop in one call. What nobody wants any more is cancelled before the next step.
"""

import asyncio
import logging
import queue
import threading
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress

from model.base.errors import BadInput
from model.inference.engine import Engine
from model.inference.requests import GenerationRequest, TokenEvent

_log = logging.getLogger(__name__)
_Numbered = tuple[int, TokenEvent]


class EngineFailed(Exception):
    """The engine has failed, and answers nothing any more."""


class Generations:
    """The events of one or several requests in one stream: `EngineThread.generate` makes it, on the event loop."""

    def __init__(self, count: int, cancel: Callable[[int], None]) -> None:
        self._cancel, self._open = cancel, set(range(count))
        self._loop = asyncio.get_running_loop()
        self._events: asyncio.Queue[_Numbered | Exception] = asyncio.Queue()

    def __aiter__(self) -> AsyncIterator[_Numbered]:
        return self

    async def __anext__(self) -> _Numbered:
        """Return the next event with its request's number; raises what ended the requests, such as BadInput."""
        while self._open:
            entry = await self._events.get()
            if isinstance(entry, Exception):
                self.close()
                raise entry
            number, event = entry
            if number in self._open:  # otherwise it was on its way when its request was cancelled
                if event.finish_reason is not None:
                    self._open.discard(number)
                return entry
        raise StopAsyncIteration

    def cancel(self, number: int) -> None:
        """Cancel one of the requests; no event of it comes any more."""
        if number in self._open:
            self._open.discard(number)
            self._cancel(number)

    def close(self) -> None:
        """Cancel what is not finished."""
        for number in list(self._open):
            self.cancel(number)

    def end(self, error: Exception) -> None:
        """Let the stream end with an error; on the event loop."""
        self._events.put_nowait(error)

    def hand_over(self, entries: Sequence[_Numbered | Exception]) -> None:
        """Hand over events from another thread."""
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._take, entries)

    def _take(self, entries: Sequence[_Numbered | Exception]) -> None:
        for entry in entries:
            self._events.put_nowait(entry)


class EngineThread:
    """Runs an engine until it is stopped; requests come from an event loop."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.on_failure: Callable[[], None] = lambda: None
        """Called, on the engine's thread, when the engine has failed."""
        self._commands: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._readers: dict[int, tuple[Generations, int]] = {}
        self._ids: dict[tuple[Generations, int], int] = {}
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self.failed = False
        """Whether the engine has failed; it is not tried again."""

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread after its present step."""
        self._commands.put(None)
        self._thread.join()

    def generate(self, requests: Sequence[GenerationRequest]) -> Generations:
        """Queue requests and return their events; the caller closes them when it wants no more."""
        generations = Generations(
            len(requests), lambda number: self._commands.put(lambda: self._drop((generations, number)))
        )
        self._commands.put(lambda: self._add(generations, requests))
        return generations

    def _run(self) -> None:
        while True:
            with suppress(queue.Empty):
                block = self.failed or not self._engine.has_work
                while (command := self._commands.get(block=block)) is not None:
                    command()
                    block = self.failed or not self._engine.has_work
                return
            try:
                events = self._engine.step()
            except Exception:
                _log.exception("the engine failed")
                self._fail()
            else:
                self._deliver(events)

    def _add(self, generations: Generations, requests: Sequence[GenerationRequest]) -> None:
        if self.failed:
            generations.hand_over([EngineFailed()])
            return
        try:
            for number, request in enumerate(requests):
                request_id = self._engine.add(request)
                self._readers[request_id] = generations, number
                self._ids[generations, number] = request_id
        except BadInput as error:
            generations.hand_over([error])

    def _drop(self, reader: tuple[Generations, int]) -> None:
        request_id = self._ids.pop(reader, None)
        if request_id is not None:
            del self._readers[request_id]
            self._engine.cancel(request_id)

    def _deliver(self, events: Sequence[TokenEvent]) -> None:
        batches: dict[Generations, list[_Numbered | Exception]] = defaultdict(list)
        for event in events:
            reader = self._readers.get(event.request_id)
            if reader is None:
                continue  # cancelled
            batches[reader[0]].append((reader[1], event))
            if event.finish_reason is not None:
                del self._readers[event.request_id], self._ids[reader]
        for generations, entries in batches.items():
            generations.hand_over(entries)

    def _fail(self) -> None:
        self.failed = True
        for generations in {reader[0] for reader in self._readers.values()}:
            generations.hand_over([EngineFailed()])
        self._readers.clear()
        self._ids.clear()
        self.on_failure()
