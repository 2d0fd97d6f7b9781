"""ChatML: how a conversation becomes tokens, in training, in questions and in chat.

Notable:
- The tokenizer's file decides which special tokens there are and what ids they have (tasks/tokenize puts them there);
  ChatML and Qwen3 fix their names, which are looked up in the file when it is loaded.
- Text is never read as control tokens: a message that contains `<|im_end|>` stays text, so a user cannot end a turn.
- Contents are stripped of white space, here and in the chat template, so that there is always a token boundary between
  a role and its content; both then give equal ids.
- A tokenizer trained with `tools` has markers around calls and results of tools. A call is JSON, as Qwen3 writes it, so
  that the parsers of common servers read it; a result is a turn of its own, which is never trained on.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tokenizers import Tokenizer

from model.base.config import ModelShape
from model.base.errors import BadInput
from model.base.json_lines import without_surrogates

END_OF_TEXT = "<|endoftext|>"
START_OF_TURN = "<|im_start|>"
END_OF_TURN = "<|im_end|>"
CALL, END_OF_CALL = "<tool_call>", "</tool_call>"
RESULT, END_OF_RESULT = "<tool_response>", "</tool_response>"
_LARGEST_FILE = 256 << 20
"""Bytes; that of a vocabulary of 262,144 tokens has 33 MiB (Gemma 3)."""
TOOL_TOKENS = (CALL, END_OF_CALL, RESULT, END_OF_RESULT)

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + (message['content'] | trim) + '<|im_end|>' + '\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
"""The same format as a Jinja template, for transformers and for servers that read its folders."""

TOOL_CHAT_TEMPLATE = (
    "{% if tools %}"
    "{% set scene = (messages[0]['content'] | trim) if messages[0]['role'] == 'system' else '' %}"
    "{{ '<|im_start|>system\n' + (scene + '\n\n' if scene else '') + 'Tools you can call, one a line:' }}"
    "{% for tool in tools %}{{ '\n' + (tool | tojson) }}{% endfor %}"
    "{{ '<|im_end|>' + '\n' }}"
    "{% endif %}"
    "{% for message in messages %}"
    "{% if not (tools and loop.first and message['role'] == 'system') %}"
    "{% set content = (message['content'] or '') | trim %}"
    "{{ '<|im_start|>' + message['role'] + '\n' }}"
    "{% if message['role'] == 'tool' %}{{ '<tool_response>' + content + '</tool_response>' }}"
    "{% else %}{{ content }}{% endif %}"
    "{% for call in message['tool_calls'] or [] %}"
    "{% set function = call['function'] if call['function'] else call %}"
    "{{ '<tool_call>{\"name\": ' + (function['name'] | tojson) + ', \"arguments\": ' }}"
    "{% if function['arguments'] is string %}{{ function['arguments'] }}"
    "{% else %}{{ function['arguments'] | tojson }}{% endif %}"
    "{{ '}</tool_call>' }}"
    "{% endfor %}"
    "{{ '<|im_end|>' + '\n' }}"
    "{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
"""The template of a tokenizer with tools: as above, with `tools`, messages' `tool_calls` and the role `tool`."""

_TOOLS_HEAD = "Tools you can call, one a line:"

Role = Literal["system", "user", "assistant", "tool"]


@dataclass(frozen=True)
class ToolCall:
    """An assistant's call of a tool."""

    name: str
    arguments: str
    """A JSON object, as written in the text."""

    @property
    def text(self) -> str:
        """The call as JSON."""
        return f'{{"name": {json.dumps(self.name, ensure_ascii=False)}, "arguments": {self.arguments}}}'


@dataclass(frozen=True)
class Message:
    """One turn of a conversation."""

    role: Role
    content: str
    calls: tuple[ToolCall, ...] = ()
    """The calls of tools that follow an assistant's content."""


def with_tools(messages: Sequence[Message], tools: Sequence[Mapping[str, Any]]) -> list[Message]:
    """Return the conversation with `tools`, JSON objects of any form, described in its system turn."""
    if not tools:
        return list(messages)
    has_scene = bool(messages) and messages[0].role == "system"
    scene = messages[0].content.strip() if has_scene else ""
    described = "\n".join([_TOOLS_HEAD, *(json.dumps(tool, ensure_ascii=False) for tool in tools)])
    head = Message("system", f"{scene}\n\n{described}" if scene else described)
    return [head, *messages[has_scene:]]


class ChatFormat:
    """Messages to ids and ids to text, with one tokenizer."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        # Control tokens are added by id; any look-alike in a message is plain text.
        self._tokenizer.encode_special_tokens = True
        # A file may ask for both, for the batches of whoever saved it; here they would cut and fill single texts.
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self.end_of_text = _special(tokenizer, END_OF_TEXT)
        """Id of the boundary between documents, also used as padding."""
        self.start_of_turn = _special(tokenizer, START_OF_TURN)
        """Id that opens a turn."""
        self.end_of_turn = _special(tokenizer, END_OF_TURN)
        """Id that ends a turn."""
        self._tools = {token: found for token in TOOL_TOKENS if (found := tokenizer.token_to_id(token)) is not None}

    @property
    def has_tools(self) -> bool:
        """Whether the tokenizer has tokens around calls and results of tools."""
        return len(self._tools) == len(TOOL_TOKENS)

    @property
    def template(self) -> str:
        """The format as a Jinja template."""
        return TOOL_CHAT_TEMPLATE if self.has_tools else CHAT_TEMPLATE

    @property
    def stop_tokens(self) -> frozenset[int]:
        """Ids after which a reply is over."""
        return frozenset((self.end_of_turn, self.end_of_text))

    def check_vocabulary(self, shape: ModelShape) -> None:
        """Raise BadInput if the tokenizer has more ids than the model's embedding has rows."""
        size = 1 + max(self._tokenizer.get_vocab().values())  # ids may have gaps
        if size > shape.vocab_size:
            raise BadInput(
                f"the tokenizer has {size} ids and the model only {shape.vocab_size}; "
                "give the tokenizer that the model was trained with"
            )

    def conversation(self, messages: Sequence[Message]) -> tuple[list[int], list[bool]]:
        """Return the ids of a conversation, and which of them the assistant writes: contents, calls and their ends.

        Raises BadInput if it uses tools, and the tokenizer has no tokens for them.
        """
        ids: list[int] = []
        written: list[bool] = []
        line_end = self.encode("\n")
        for message in messages:
            head = [self.start_of_turn, *self.encode(f"{message.role}\n")]
            content = [*self._content(message), self.end_of_turn]
            ids += head + content + line_end
            by_assistant = message.role == "assistant"
            written += [False] * len(head) + [by_assistant] * len(content) + [False] * len(line_end)
        return ids, written

    def _content(self, message: Message) -> list[int]:
        """Return the ids between the role and the end of a turn."""
        text = self.encode(message.content.strip())
        if message.role != "tool" and not message.calls:
            return text
        if not self.has_tools:
            raise BadInput(
                "the conversation uses tools, but the tokenizer has no tokens for them; train it with "
                "tokenizer.tools = true"
            )
        if message.role == "tool":
            return [self._tools[RESULT], *text, self._tools[END_OF_RESULT]]
        for call in message.calls:
            text += [self._tools[CALL], *self.encode(call.text), self._tools[END_OF_CALL]]
        return text

    def prompt(self, messages: Sequence[Message]) -> list[int]:
        """Return the ids after which the assistant's next content begins."""
        return [*self.conversation(messages)[0], self.start_of_turn, *self.encode("assistant\n")]

    def encode(self, text: str) -> list[int]:
        """Return the ids of plain text, without any special token."""
        ids: list[int] = self._tokenizer.encode(without_surrogates(text), add_special_tokens=False).ids
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of ids, without special tokens other than those of tools, which the caller must see."""
        turns = (self.end_of_text, self.start_of_turn, self.end_of_turn) if self.has_tools else ()
        shown = [token for token in ids if token not in turns]
        text: str = self._tokenizer.decode(shown, skip_special_tokens=not self.has_tools)
        return text


def load_chat_format(path: Path) -> ChatFormat:
    """Return the chat format of a tokenizer.json; raises BadInput if it is missing, damaged or lacks a token."""
    if not path.is_file():
        raise BadInput(f"there is no tokenizer at {path}")
    if path.stat().st_size > _LARGEST_FILE:
        raise BadInput(f"{path} has more than {_LARGEST_FILE >> 20} MiB, so it is no tokenizer")
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
