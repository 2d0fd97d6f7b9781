"""Chat with an exported model: `python -m model.chat --model DIR [--message TEXT]`.

Without --message it reads one message a line until the input ends; an empty line forgets the conversation. A message
that cannot be answered, such as one too long for the model, is reported and forgotten, and the conversation goes on.
"""

import argparse
import sys

from model.base.errors import BadInput
from model.base.program import print_error
from model.base.safe_text import harmless
from model.data.chat_format import Message
from model.inference.generation import Sampling
from model.inference.sampling_options import run_on_text_model
from model.inference.text_model import TextModel


def chat(arguments: list[str]) -> int:
    """Answer one message, or hold a conversation, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m model.chat", description="Chat with an exported model.")
    parser.add_argument("--message", help="answer this one message and exit")
    parser.add_argument("--system", help="a message that sets the scene")
    return run_on_text_model(parser, arguments, _chat)


def _chat(model: TextModel, sampling: Sampling, options: argparse.Namespace) -> None:
    scene = [Message("system", options.system)] if options.system else []
    if options.message is not None:
        _answer(model, [*scene, Message("user", options.message)], sampling)
        return
    messages = list(scene)
    while (line := _read_line()) is not None:
        if not line.strip():
            messages = list(scene)
            continue
        asked = [*messages, Message("user", line)]
        try:
            messages = [*asked, Message("assistant", _answer(model, asked, sampling))]
        except BadInput as error:
            print_error(error)


def _read_line() -> str | None:
    try:
        return input("> " if sys.stdin.isatty() else "")
    except (EOFError, KeyboardInterrupt):
        return None


def _answer(model: TextModel, messages: list[Message], sampling: Sampling) -> str:
    pieces = []
    for piece in model.reply(messages, sampling):
        pieces.append(piece)
        print(harmless(piece), end="", flush=True)
    print()
    return "".join(pieces)


if __name__ == "__main__":
    sys.exit(chat(sys.argv[1:]))
