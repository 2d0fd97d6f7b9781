"""A sign of life where the output is no terminal: a line that gets a dot a second until there is more to say."""

from threading import Event, Thread

from rich.console import Console

_SECONDS = 1.0


class Dots:
    """A line of words and dots, from now on until `end`."""

    def __init__(self, console: Console, words: str) -> None:
        self._console = console
        self._over = Event()
        console.print(words, end="", markup=False, highlight=False, soft_wrap=True)
        self._thread = Thread(target=self._go_on, name="dots", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """End the line, unless that was done."""
        if not self._over.is_set():
            self._over.set()
            self._thread.join()
            self._console.print()

    def _go_on(self) -> None:
        while not self._over.wait(_SECONDS):
            self._console.print(".", end="")
