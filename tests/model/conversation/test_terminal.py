"""A conversation in a terminal that is emulated: keys, history, commands, and answers that can be stopped."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pexpect
import pyte
import pytest

from model.base.sizes import ModelShape
from model.network.transformer import Transformer, initialise
from tests.conftest import ROOT
from tests.model.parrot import parrot_export, write_export
from tests.model.tiny_corpus import TinyCorpus

UP, CTRL_C, CTRL_D = "\x1b[A", "\x03", "\x04"
SECONDS = 120
pytestmark = pytest.mark.slow


class Terminal:
    """A program on a terminal of 100 columns, and what stands there, also what has scrolled away."""

    def __init__(self, child: "pexpect.spawn[bytes]") -> None:
        self.child = child
        self._screen = pyte.HistoryScreen(100, 30, history=1000)
        self._screen.write_process_input = lambda text: child.send(text)
        self._stream = pyte.ByteStream(self._screen)

    @property
    def lines(self) -> list[str]:
        """All lines, without the spaces at their ends."""
        gone = ["".join(line[at].data for at in range(100)) for line in self._screen.history.top]
        return [line.rstrip() for line in (*gone, *self._screen.display)]

    def count(self, text: str) -> int:
        """How often a text stands there."""
        return "\n".join(self.lines).count(text)

    @property
    def written(self) -> int:
        """How many lines hold something."""
        return sum(bool(line) for line in self.lines)

    def until(self, seen: Callable[[], bool]) -> None:
        """Read until something is seen."""
        end = time.monotonic() + SECONDS
        while not seen():
            assert time.monotonic() < end, "\n".join(self.lines)
            self._read()

    def until_written(self, lines: int) -> None:
        """Read until so many lines hold something."""
        self.until(lambda: self.written >= lines)

    def type(self, keys: str, shows: str) -> None:
        """Type, and wait until a text stands there once more than before."""
        before = self.count(shows)
        self.child.send(keys)
        self.until(lambda: self.count(shows) > before)

    def ended(self) -> int | None:
        """The exit code, once the program has ended."""
        self.child.expect(pexpect.EOF, timeout=SECONDS)
        self.child.close()
        return self.child.exitstatus

    def _read(self) -> None:
        try:
            self._stream.feed(self.child.read_nonblocking(65536, timeout=1))
        except pexpect.TIMEOUT:
            return


@contextmanager
def chatting(model: Path, home: Path, *options: str) -> Iterator[Terminal]:
    """`python -m model.chat` on a terminal, at its first prompt."""
    environment = {"HOME": str(home), "PATH": "/usr/bin:/bin", "TERM": "xterm-256color", "PYTHONPATH": str(ROOT)}
    arguments = ["-m", "model.chat", "--model", str(model), *options]
    child = pexpect.spawn(sys.executable, arguments, cwd=str(home), env=environment, dimensions=(30, 100))
    try:
        terminal = Terminal(child)
        terminal.until(lambda: ">" in terminal.lines)
        yield terminal
    finally:
        child.close(force=True)


def test_keys_history_and_commands(corpus: TinyCorpus, tmp_path: Path) -> None:
    model = parrot_export(tmp_path / "export", corpus.tokenizer, "Yes.")
    with chatting(model, tmp_path) as terminal:
        terminal.type("/help\r", shows="Ctrl-D           ")
        assert all(terminal.count(f"/{name}") for name in ("clear", "system", "save", "regenerate", "exit"))
        terminal.type("hi\r", shows="5 tokens, ")
        assert "Yes." in terminal.lines
        terminal.type(UP, shows="> hi")
        assert not terminal.count("^[[A")
        terminal.type(UP + UP, shows="> /help")
        terminal.child.send(CTRL_C)  # clears the line, and ends nothing
        terminal.type("/system Short.\r", shows="The system prompt is set.")
        terminal.type("/regenerate\r", shows="5 tokens, ")
        terminal.type("/sve\r", shows="there is no command /sve")
        terminal.type("/save talk.jsonl\r", shows="Saved to talk.jsonl.")
        terminal.type("wordy wordy wordy wordy\r", shows="The context of 64 tokens is full: the oldest 2 messages")
        terminal.type("/clear\r", shows="Forgotten.")
        terminal.type("hi\r", shows="5 tokens, ")
        terminal.child.send(CTRL_D)
        assert terminal.ended() == 0
    (saved,) = (json.loads(line) for line in (tmp_path / "talk.jsonl").read_text().splitlines())
    turns = [(turn["role"], turn["content"]) for turn in saved["messages"]]
    assert turns == [("system", "Short."), ("user", "hi"), ("assistant", "Yes.")]
    with chatting(model, tmp_path) as terminal:
        terminal.type(UP + UP, shows="> /clear")
        terminal.child.send(CTRL_C)
        terminal.child.send("/exit\r")
        assert terminal.ended() == 0


@pytest.fixture(scope="module")
def slow(corpus: TinyCorpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export whose answers take many seconds: 13 million random weights, and a long context."""
    model = Transformer(ModelShape(400, 8, 384, 6, 2, 1024, 8192))
    initialise(model, 0)
    return write_export(tmp_path_factory.mktemp("slow") / "export", model, corpus.tokenizer)


def test_ctrl_c_stops_the_answer_and_not_the_conversation(slow: Path, tmp_path: Path) -> None:
    with chatting(slow, tmp_path, "--max-new-tokens=8000", "--temperature=1") as terminal:
        for number in range(2):
            lines = terminal.written
            terminal.child.send(f"question {number}\r")
            terminal.until_written(lines + 3)
            terminal.type(CTRL_C, shows=", stopped")
            assert terminal.child.isalive()
        terminal.type("/clear\r", shows="Forgotten.")
        terminal.child.send(CTRL_D)
        assert terminal.ended() == 0
