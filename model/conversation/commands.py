"""The commands of a conversation: lines that begin with a slash."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from model.base.errors import BadInput, did_you_mean
from model.conversation.conversation import Conversation
from model.inference.text_model import Reply


class Ended(Exception):
    """The conversation is over."""


@dataclass(frozen=True)
class Command:
    """A command: what it does, in words and in code."""

    usage: str
    meaning: str
    run: Callable[[Conversation, str], str | Reply]
    """Takes what stands behind the command; returns what to tell, or an answer to show."""


def run_command(line: str, conversation: Conversation) -> str | Reply:
    """Carry out a line that begins with a slash; raises BadInput if it is no command, Ended at the last one."""
    name, _, rest = line.removeprefix("/").partition(" ")
    if name not in COMMANDS:
        raise BadInput(f"there is no command /{name}{did_you_mean(name, COMMANDS)}; /help lists them")
    return COMMANDS[name].run(conversation, rest.strip())


def _help(conversation: Conversation, rest: str) -> str:
    rows = [(command.usage, command.meaning) for command in COMMANDS.values()]
    rows += [
        ("//...", "a message that begins with a slash"),
        ("Up, Down, Ctrl-R", "earlier messages"),
        ("Alt-Enter", "a new line in a message"),
        ("Ctrl-C", "stops an answer, or clears the line"),
        ("Ctrl-D", "ends the conversation"),
    ]
    width = max(len(usage) for usage, _ in rows)
    return "\n".join(f"{usage:{width}}  {meaning}" for usage, meaning in rows)


def _clear(conversation: Conversation, rest: str) -> str:
    conversation.clear()
    return "Forgotten."


def _system(conversation: Conversation, rest: str) -> str:
    if rest:
        conversation.system = "" if rest == "-" else rest
        return "The system prompt is removed." if rest == "-" else "The system prompt is set."
    return conversation.system or "There is no system prompt."


def _save(conversation: Conversation, rest: str) -> str:
    path = Path(rest or time.strftime("chat-%Y%m%d-%H%M%S.jsonl")).expanduser()
    conversation.save(path)
    return f"Saved to {path}."


def _regenerate(conversation: Conversation, rest: str) -> Reply:
    return conversation.ask_again()


def _exit(conversation: Conversation, rest: str) -> str:
    raise Ended


COMMANDS = {
    "help": Command("/help", "these lines", _help),
    "clear": Command("/clear", "forget the conversation, but not the system prompt", _clear),
    "system": Command("/system [TEXT]", "set the system prompt, or show it; - removes it", _system),
    "save": Command("/save [FILE]", "write the conversation to a new file, as finetuning reads it", _save),
    "regenerate": Command("/regenerate", "answer the last message again", _regenerate),
    "exit": Command("/exit", "end the conversation", _exit),
}
"""Every command by its name."""
