"""ChatML: how a conversation becomes tokens, in training, in questions and in chat.

Notable:
- Text is never read as control tokens: a message that contains `<|im_end|>` stays text, so a user cannot end a turn.
- Contents are stripped of white space at both ends, here and in the chat template, so that the border between a role
  and its content is always a border between tokens; both then give equal ids.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tokenizers import Tokenizer

from model.config import ModelShape
from model.errors import BadInput

END_OF_TEXT = "<|endoftext|>"
START_OF_TURN = "<|im_start|>"
END_OF_TURN = "<|im_end|>"

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + (message['content'] | trim) + '<|im_end|>' + '\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
"""The same format as a Jinja template, for transformers and the servers that read its folders."""

Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True)
class Message:
    """One turn of a conversation."""

    role: Role
    content: str


class ChatFormat:
    """Turns messages into ids and ids into text, with one tokenizer."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        # The three ids are set by hand below; any look-alike in a message is plain text.
        self._tokenizer.encode_special_tokens = True
        self.end_of_text = _special(tokenizer, END_OF_TEXT)
        """Id of the boundary between documents, also used as padding."""
        self.start_of_turn = _special(tokenizer, START_OF_TURN)
        """Id that opens a turn."""
        self.end_of_turn = _special(tokenizer, END_OF_TURN)
        """Id that ends a turn."""

    @property
    def stop_tokens(self) -> frozenset[int]:
        """Ids after which a reply is over."""
        return frozenset((self.end_of_turn, self.end_of_text))

    def check_vocabulary(self, shape: ModelShape) -> None:
        """Raises BadInput where the tokenizer has more ids than the model's embedding has rows."""
        size = self._tokenizer.get_vocab_size()
        if size > shape.vocabulary_size:
            raise BadInput(
                f"the tokenizer has {size} ids and the model only {shape.vocabulary_size}; "
                "give the tokenizer that the model was trained with"
            )

    def conversation(self, messages: Sequence[Message]) -> tuple[list[int], list[bool]]:
        """The ids of a whole conversation, and which of them an assistant writes: its contents and their ends."""
        ids: list[int] = []
        written: list[bool] = []
        line_end = self.encode("\n")
        for message in messages:
            head = [self.start_of_turn, *self.encode(f"{message.role}\n")]
            content = [*self.encode(message.content.strip()), self.end_of_turn]
            ids += head + content + line_end
            by_assistant = message.role == "assistant"
            written += [False] * len(head) + [by_assistant] * len(content) + [False] * len(line_end)
        return ids, written

    def prompt(self, messages: Sequence[Message]) -> list[int]:
        """The ids after which the assistant's next content begins."""
        return [*self.conversation(messages)[0], self.start_of_turn, *self.encode("assistant\n")]

    def encode(self, text: str) -> list[int]:
        """The ids of plain text, without any special token."""
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids; special ones are left out."""
        text: str = self._tokenizer.decode(list(ids), skip_special_tokens=True)
        return text


def load_chat_format(path: Path) -> ChatFormat:
    """The chat format over a tokenizer.json.

    Raises:
        BadInput: the file is missing, damaged, or lacks a special token.
    """
    if not path.is_file():
        raise BadInput(f"there is no tokenizer at {path}")
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the binding raises bare Exception
        raise BadInput(f"the tokenizer {path} cannot be read: {error}") from error
    return ChatFormat(tokenizer)


def _special(tokenizer: Tokenizer, token: str) -> int:
    found = tokenizer.token_to_id(token)
    if found is None:
        raise BadInput(
            f"the tokenizer has no special token {token}; train it with {END_OF_TEXT}, {START_OF_TURN}, "
            f"{END_OF_TURN} as ids 0, 1, 2"
        )
    return int(found)
