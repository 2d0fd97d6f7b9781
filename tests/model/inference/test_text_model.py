"""Chat in text: what of a long conversation the model is shown, and what of its words the terminal is."""

import io
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from model.base.errors import BadInput
from model.chat import chat as chat_program
from model.data.chat_format import ChatFormat, Message, load_chat_format
from model.generate import generate_text
from model.inference.engine import EngineLimits, engine_of
from model.inference.requests import SamplingOptions
from model.inference.text_model import TextModel
from model.network.transformer import Transformer, initialise
from tests.conftest import ROOT
from tests.model.parrot import SHAPE, parrot_export
from tests.model.tiny_corpus import TinyCorpus

ATTACK = "\x1b[2J\x9b\u202e"
"""Clear the screen; begin a control sequence in one character; reverse the text that follows."""


class Listening(ChatFormat):
    """A chat format that keeps the last conversation it was asked to turn into a prompt."""

    last: list[Message]

    def prompt(self, messages: list[Message]) -> list[int]:  # type: ignore[override]
        """The usual ids."""
        self.last = list(messages)
        return super().prompt(messages)


@pytest.fixture
def chat(corpus: TinyCorpus) -> Listening:
    """The tiny corpus's chat format."""
    return Listening(load_chat_format(corpus.tokenizer)._tokenizer)


@pytest.fixture
def model(chat: Listening) -> TextModel:
    """A model of random weights with a context of 64."""
    network = Transformer(SHAPE)
    initialise(network, 0)
    return TextModel(engine_of(network.eval(), limits=EngineLimits(slots=1)), chat)


def exchange(number: int) -> list[Message]:
    """A question, a tool's result on the way, and the answer."""
    return [Message("user", f"q{number}"), Message("assistant", f"looks{number}"), Message("assistant", f"a{number}")]


def reply(model: TextModel, messages: list[Message]) -> str:
    """A short reply."""
    return "".join(model.reply(messages, SamplingOptions(max_new_tokens=4)))


@pytest.mark.parametrize("before", range(1, 9))
def test_a_long_conversation_loses_whole_exchanges_from_its_beginning(
    model: TextModel, chat: Listening, before: int
) -> None:
    talk = [Message("system", "Be brief."), *(turn for number in range(before) for turn in exchange(number))]
    reply(model, [*talk, Message("user", "now?")])
    assert chat.last[0] == Message("system", "Be brief.") and chat.last[-1] == Message("user", "now?")
    kept = [number for number in range(before) if Message("user", f"q{number}") in chat.last]
    assert chat.last[1:-1] == [turn for number in kept for turn in exchange(number)]
    assert kept == list(range(before - len(kept), before)), "the newest ones are kept"
    assert before < 3 or len(kept) < before


def test_a_conversation_that_fits_is_shown_whole(model: TextModel, chat: Listening) -> None:
    talk = [Message("assistant", "Hi."), Message("user", "q"), Message("assistant", "a"), Message("user", "now?")]
    reply(model, talk)
    assert chat.last == talk


def test_a_reply_says_what_was_left_out_and_can_be_stopped(model: TextModel) -> None:
    talk = [turn for number in range(6) for turn in exchange(number)]
    reply = model.reply([*talk, Message("user", "now?")], SamplingOptions(max_new_tokens=16))
    assert reply.dropped > 0 and reply.dropped % 3 == 0, "whole exchanges"
    for _ in reply:
        reply.stop()
    assert reply.tokens == 1 and not model.engine.has_work


def test_a_message_that_leaves_no_room_is_refused(model: TextModel, chat: Listening) -> None:
    with pytest.raises(BadInput, match=r"the message has \d+ tokens .* context is 64; shorten it"):
        reply(model, [*exchange(1), Message("user", "wordy " * 40)])
    assert chat.last == [Message("user", "wordy " * 40)], "nothing else is left to drop"


@dataclass(frozen=True)
class Done:
    """How a program ended, and what it wrote."""

    code: int
    stdout: bytes
    stderr: bytes


def run(program: Callable[[list[str]], int], *arguments: str | bytes, text: bytes = b"") -> Done:
    """Run a program in this process with the arguments and bytes on its input, as a shell would pass them."""
    out, err = io.BytesIO(), io.BytesIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text), encoding="utf-8"))
        patch.setattr(sys, "stdout", io.TextIOWrapper(out, encoding="utf-8", write_through=True))
        patch.setattr(sys, "stderr", io.TextIOWrapper(err, encoding="utf-8", write_through=True))
        code = program([os.fsdecode(argument) for argument in arguments])
        return Done(code, out.getvalue(), err.getvalue())


@pytest.fixture(scope="module")
def hostile(corpus: TinyCorpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export whose model answers with `ATTACK`."""
    return parrot_export(tmp_path_factory.mktemp("hostile") / "export", corpus.tokenizer, ATTACK)


def test_a_model_cannot_control_the_terminal(hostile: Path) -> None:
    answered = run(chat_program, "--model", str(hostile), "--message", "hi")
    assert answered.code == 0 and answered.stdout.decode() == "\ufffd[2J\ufffd\ufffd\n", answered
    continued = run(generate_text, "--model", str(hostile), "--prompt", f"{ATTACK}\n")
    assert continued.code == 0 and continued.stdout.decode() == "\ufffd[2J\ufffd\ufffd\n" * 2, continued
    harmful = {"\x1b", "\x9b", "\u202e"}
    talk = run(chat_program, "--model", str(hostile), text=b"hi\nhi\n")
    assert not harmful & set(talk.stdout.decode() + talk.stderr.decode())


def test_an_error_that_quotes_a_file_cannot_control_the_terminal(hostile: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "\\u001b[2Jowned"}')
    for name in ("tokenizer.json", "model.safetensors"):
        (tmp_path / name).symlink_to(hostile / name)
    done = run(chat_program, "--model", str(tmp_path), "--message", "hi")
    assert done.code == 2 and b"\x1b" not in done.stderr and b"[2Jowned" in done.stderr


def test_a_line_that_is_too_long_does_not_end_the_conversation(corpus: TinyCorpus, tmp_path: Path) -> None:
    folder = parrot_export(tmp_path / "export", corpus.tokenizer, "Yes.")
    done = run(chat_program, "--model", str(folder), text=b"hi\n" + b"wordy " * 40 + b"\nhi\n")
    assert done.code == 0 and done.stdout == b"Yes.\nYes.\n"
    assert done.stderr.startswith(b"error: the message has ") and done.stderr.endswith(b"shorten it\n")


def test_text_in_another_encoding_is_answered(corpus: TinyCorpus, tmp_path: Path) -> None:
    folder = parrot_export(tmp_path / "export", corpus.tokenizer, "ja \u00e9!")
    given = run(chat_program, "--model", str(folder), "--message", b"caf\xe9")
    typed = run(chat_program, "--model", str(folder), text=b"caf\xe9\n")
    assert given.stdout.decode() == typed.stdout.decode() == "ja \u00e9!\n", (given, typed)
    prompted = run(generate_text, "--model", str(folder), "--max-new-tokens=1", "--prompt", b"caf\xe9")
    assert prompted.code == 0 and prompted.stdout.decode().startswith("caf\ufffd")


def test_a_terminal_of_another_encoding_is_answered(corpus: TinyCorpus, tmp_path: Path) -> None:
    folder = parrot_export(tmp_path / "export", corpus.tokenizer, "ja \u00e9!")
    command: list[str | bytes] = [sys.executable, "-m", "model.chat", "--model", str(folder), "--message", b"caf\xe9"]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    narrow = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=120, env=environment)
    assert narrow.returncode == 0 and narrow.stdout == b"ja ?!\n"
