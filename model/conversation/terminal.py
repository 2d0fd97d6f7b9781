"""A conversation on a terminal: lines with history and editing, answers as Markdown while they come.

Notable:
- Ctrl-C must not break into a step of the engine, so while an answer comes it only asks the answer to stop.
- A model's words are made harmless after they were rendered, since Markdown can spell any character by its number.
- The history is the user's alone: its file has the mode 0600.
"""

import contextlib
import os
import signal
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import WordCompleter
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings
from prompt_toolkit.key_binding.key_processor import KeyPressEvent
from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.markdown import Markdown
from rich.segment import Segment
from rich.text import Text

from model.base.errors import BadInput
from model.base.program import print_error
from model.base.safe_text import harmless
from model.conversation.commands import COMMANDS, Ended, run_command
from model.conversation.conversation import Conversation
from model.inference.text_model import Reply

_FRAMES_A_SECOND = 10
_PROMPT = "> "


def converse(conversation: Conversation) -> None:
    """Hold a conversation on this process's terminal until the user ends it."""
    console = Console(highlight=False)
    session: PromptSession[str] = PromptSession(
        _PROMPT,
        history=_history(),
        completer=WordCompleter([f"/{name}" for name in COMMANDS], sentence=True),
        complete_while_typing=False,
        key_bindings=_keys(),
        prompt_continuation="  ",
    )
    console.print("/help lists the commands; Ctrl-D ends.", style="dim")
    dropped = 0
    while True:
        try:
            line = session.prompt().strip()
            if not line:
                continue
            reply = _reply_to(line, conversation)
        except KeyboardInterrupt:  # at the prompt: the line is cleared
            continue
        except (EOFError, Ended):
            return
        except BadInput as error:
            print_error(error)
            continue
        if isinstance(reply, str):
            console.print(Text(harmless(reply)), style="dim")
            continue
        if reply.dropped > dropped:
            full = f"The context of {conversation.context} tokens is full"
            console.print(f"{full}: the oldest {reply.dropped} messages are out of it.", style="yellow")
        dropped = reply.dropped
        conversation.heard(_show(reply, console))


def _reply_to(line: str, conversation: Conversation) -> str | Reply:
    if line.startswith("/") and not line.startswith("//"):
        return run_command(line, conversation)
    return conversation.ask(line.removeprefix("/") if line.startswith("//") else line)


def _show(reply: Reply, console: Console) -> str:
    """Show an answer as it comes, and return it; Ctrl-C ends it early."""
    text, begun = "", time.monotonic()
    with _ctrl_c_stops(reply), _without_echo(), Live(console=console, transient=True, auto_refresh=False) as live:
        shown_at = 0.0
        for piece in reply:
            text += piece
            if time.monotonic() - shown_at > 1 / _FRAMES_A_SECOND:
                live.update(_Tail(_Answer(text), console.height - 1), refresh=True)
                shown_at = time.monotonic()
    seconds = time.monotonic() - begun
    for line in _calls(reply):
        console.print(Text(harmless(line)), style="dim")
    console.print(_Answer(text))
    stopped = ", stopped" if reply.stopped else ""
    console.print(f"{reply.tokens} tokens, {reply.tokens / max(seconds, 1e-9):.0f} a second{stopped}", style="dim")
    return text


def _calls(reply: Reply) -> Iterator[str]:
    """Yield a line for each call of a tool, and its result."""
    for message in reply.turns:
        yield from (call.text for call in message.calls)
        if message.role == "tool":
            yield f"  {message.content}"


@contextlib.contextmanager
def _ctrl_c_stops(reply: Reply) -> Iterator[None]:
    before = signal.signal(signal.SIGINT, lambda *_: reply.stop())
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def _without_echo() -> Iterator[None]:
    """Keep what is typed while an answer comes for the next prompt, and out of the answer."""
    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    quiet = termios.tcgetattr(terminal)
    quiet[3] &= ~termios.ECHO
    termios.tcsetattr(terminal, termios.TCSANOW, quiet)
    try:
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSANOW, before)


class _Answer:
    """A model's Markdown, harmless once it is rendered."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Render it, as plain text if it is no Markdown that can be rendered."""
        try:
            # A link that is shown with its address hides nothing.
            rendered = list(console.render(Markdown(harmless(self._text), hyperlinks=False), options))
        except (RecursionError, ValueError):
            rendered = list(console.render(Text(self._text), options))
        for segment in rendered:
            yield segment if segment.control else Segment(harmless(segment.text), segment.style)


class _Tail:
    """The last lines of something that may be longer than the terminal is high."""

    def __init__(self, whole: _Answer, lines: int) -> None:
        self._whole, self._lines = whole, max(1, lines)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Render the last lines."""
        for line in console.render_lines(self._whole, options, pad=False)[-self._lines :]:
            yield from line
            yield Segment.line()


def _keys() -> KeyBindings:
    bindings = KeyBindings()

    @bindings.add("escape", "enter")
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    return bindings


def _history() -> History:
    """Return the user's history, or one that is forgotten where no file can be kept."""
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    path = state / "sluice" / "chat_history"
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_NOFOLLOW, 0o600))
        path.chmod(0o600)
    except (OSError, RuntimeError) as error:
        print(f"warning: no history is kept: {error}", file=sys.stderr)
        return InMemoryHistory()
    return FileHistory(str(path))
