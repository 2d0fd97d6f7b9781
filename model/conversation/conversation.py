"""The state of a conversation, whatever shows it."""

import dataclasses
from pathlib import Path
from typing import Any

from model.base.config import MAX_SEED
from model.base.errors import BadInput
from model.base.json_lines import json_lines
from model.data.chat_format import Message
from model.inference.requests import SamplingOptions
from model.inference.text_model import Reply, TextModel


class Conversation:
    """Messages so far; an answer enters them only once it has been heard."""

    def __init__(self, model: TextModel, options: SamplingOptions, system: str | None = None) -> None:
        self._model, self._options = model, options
        self.system = system
        """What sets the scene; None or empty where nothing does."""
        self.messages: list[Message] = []
        """All turns but the system's."""

    @property
    def context(self) -> int:
        """Tokens that the model reads at a time."""
        return self._model.engine.decoder.context

    def ask(self, text: str) -> Reply:
        """Return the reply to a message; raises BadInput if it is too long for the model, and then forgets it."""
        return self._reply([*self.messages, Message("user", text)])

    def ask_again(self) -> Reply:
        """Return another reply to the last message, with another seed; raises BadInput if there was none."""
        if not self.messages:
            raise BadInput("there is no answer yet")
        self._options = dataclasses.replace(self._options, seed=(self._options.seed + 1) % (MAX_SEED + 1))
        return self._reply(self.messages[:-1])

    def clear(self) -> None:
        """Forget all but the scene."""
        self.messages = []

    def heard(self, answer: str) -> None:
        """Take the answer to what was last asked into the conversation."""
        answer = answer[self._reply_heard.said_before :]
        self.messages = [*self._asked, *self._reply_heard.turns, Message("assistant", answer)]

    def save(self, path: Path) -> None:
        """Write the conversation to a new file, as a line that finetuning reads; raises BadInput if it cannot."""
        turns = [_line(message) for message in (*self._scene, *self.messages)]
        try:
            with path.open("x", encoding="utf-8") as file:
                file.write(json_lines([{"messages": turns}]))
        except FileExistsError as error:
            raise BadInput(f"{path} is there already; name a new file") from error
        except (OSError, ValueError) as error:
            raise BadInput(f"cannot write {path}: {getattr(error, 'strerror', None) or error}") from error

    @property
    def _scene(self) -> list[Message]:
        return [Message("system", self.system)] if self.system else []

    def _reply(self, messages: list[Message]) -> Reply:
        reply = self._model.reply([*self._scene, *messages], self._options)
        self._asked, self._reply_heard = messages, reply
        return reply


def _line(message: Message) -> dict[str, Any]:
    """Return a message as finetuning reads it."""
    calls = [{"name": call.name, "arguments": call.arguments} for call in message.calls]
    return {"role": message.role, "content": message.content} | ({"tool_calls": calls} if calls else {})
