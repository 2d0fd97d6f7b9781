"""Chat with an exported model: `python -m model.chat --model DIR [--message TEXT]`.

On a terminal it is a conversation with history and commands; /help lists them. Otherwise it reads one message a line
until the input ends; an empty line forgets the conversation. A message that cannot be answered, such as one too long
for the model, is reported and forgotten, and the conversation goes on.
"""

import argparse
import sys

from model.base.errors import BadInput
from model.base.program import print_error
from model.base.safe_text import harmless
from model.conversation.conversation import Conversation
from model.inference.requests import SamplingOptions
from model.inference.sampling_options import run_on_text_model
from model.inference.text_model import Reply, TextModel
from model.tools.registry import TOOL_HELP
from model.tools.runner import ToolRunner


def chat(arguments: list[str]) -> int:
    """Answer one message, or hold a conversation, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m model.chat", description="Chat with an exported model.")
    parser.add_argument("--message", help="answer this one message and exit")
    parser.add_argument("--system", help="a message that sets the scene")
    parser.add_argument("--tool", action="append", default=[], help=TOOL_HELP)
    return run_on_text_model(parser, arguments, _chat)


def _chat(model: TextModel, sampling: SamplingOptions, options: argparse.Namespace) -> None:
    if not options.tool:
        _converse(Conversation(model, sampling, options.system), options)
        return
    with ToolRunner(options.tool) as tools:
        _converse(Conversation(TextModel(model.engine, model.chat, tools), sampling, options.system), options)


def _converse(conversation: Conversation, options: argparse.Namespace) -> None:
    if options.message is not None:
        _print(conversation.ask(options.message))
    elif sys.stdin.isatty() and sys.stdout.isatty():
        from model.conversation.terminal import converse

        converse(conversation)
    else:
        _answer_lines(conversation)


def _answer_lines(conversation: Conversation) -> None:
    for line in sys.stdin:
        text = line.rstrip("\n")
        if not text.strip():
            conversation.clear()
            continue
        try:
            conversation.heard(_print(conversation.ask(text)))
        except BadInput as error:
            print_error(error)


def _print(reply: Reply) -> str:
    pieces = []
    for piece in reply:
        pieces.append(piece)
        print(harmless(piece), end="", flush=True)
    print()
    return "".join(pieces)


if __name__ == "__main__":
    sys.exit(chat(sys.argv[1:]))
