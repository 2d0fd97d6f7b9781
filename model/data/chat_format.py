"""ChatML: how a conversation becomes tokens, in training, in questions and in chat.

Notable:
- chat_template.jinja, beside this file, is the same format for other programs. For them control tokens spelt out in a
  text are broken up by a space, since their tokenizers would read them; apart from that both give equal ids.
- Tools and thinking are laid out as Qwen3 does: the results of one turn's calls are one turn of the user, and what an
  assistant thought is left out once the user has asked again. Such a turn is not trained on either, since the model has
  to think where it stands.
- The tokenizer's file decides which special tokens there are and what ids they have (tasks/tokenize puts them there);
  ChatML and Qwen3 fix their names, which are looked up in the file when it is loaded.
- Text is never read as control tokens: a message that contains `<|im_end|>` stays text, so a user cannot end a turn.
- Contents are stripped of white space, so that there is always a token boundary between a role and its content.
- A tokenizer trained with `tools` has markers around calls and results of tools. A call is JSON, so that the parsers of
  common servers read it; a result is never trained on.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tokenizers import AddedToken, Tokenizer

from model.base.errors import BadInput
from model.base.json_lines import json_value, without_surrogates
from model.data.byte_letters import bytes_of

END_OF_TEXT = "<|endoftext|>"
START_OF_TURN = "<|im_start|>"
END_OF_TURN = "<|im_end|>"
CALL, END_OF_CALL = "<tool_call>", "</tool_call>"
RESULT, END_OF_RESULT = "<tool_response>", "</tool_response>"
_LARGEST_FILE = 256 << 20
"""Bytes; that of a vocabulary of 262,144 tokens has 33 MiB (Gemma 3)."""
TOOL_TOKENS = (CALL, END_OF_CALL, RESULT, END_OF_RESULT)
_ENDS = {CALL: END_OF_CALL, RESULT: END_OF_RESULT}

THINKING, END_OF_THINKING = "<think>", "</think>"
"""Around what an assistant thinks before it answers: text, no tokens of their own."""

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

    @classmethod
    def parse(cls, text: str) -> "ToolCall | None":
        """Return the call in what a model wrote between the markers; None if it is not what a call must be."""
        try:
            value = json_value(text)
            name, arguments = value["name"], value.get("arguments", {})
        except (ValueError, RecursionError, TypeError, KeyError, AttributeError):
            return None
        if not isinstance(name, str) or not isinstance(arguments, dict):
            return None
        return cls(name, json.dumps(arguments, ensure_ascii=False))


@dataclass(frozen=True)
class Message:
    """One turn of a conversation."""

    role: Role
    content: str
    calls: tuple[ToolCall, ...] = ()
    """The calls of tools that follow an assistant's content."""
    thinking: str | None = None
    """What an assistant thought before; None if it is in the content, or there is none."""
    is_learnt: bool = True
    """Whether finetuning learns it, if an assistant says it."""

    @property
    def thinking_and_answer(self) -> tuple[str, str]:
        """What an assistant thought, which may be nothing, and what it says."""
        before, end, after = self.content.partition(END_OF_THINKING)
        if self.thinking is not None:
            return self.thinking.strip(), self.content.strip()
        if end and (THINKING not in before or before.strip().startswith(THINKING)):
            return before.rpartition(THINKING)[2].strip(), after.strip()
        return "", self.content.strip()


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
        # They are no special tokens in the file, since programs leave those out of what a model says.
        tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in self._tools])
        self._special_tokens = frozenset(tokenizer.get_added_tokens_decoder())

    @property
    def has_tools(self) -> bool:
        """Whether the tokenizer has tokens around calls and results of tools."""
        return len(self._tools) == len(TOOL_TOKENS)

    @property
    def template(self) -> str:
        """The format as a Jinja template, for transformers and for servers that read its folders."""
        added = self._tokenizer.get_added_tokens_decoder().values()
        control_tokens = [token.content for token in added if token.special and len(token.content) > 1]
        settings = {
            "has_tools": self.has_tools,
            "tools_head": _TOOLS_HEAD,
            "control_tokens": [[token, f"{token[:1]} {token[1:]}"] for token in control_tokens],
        }
        head = "".join(f"{{%- set {name} = {json.dumps(value)} -%}}\n" for name, value in settings.items())
        return head + Path(__file__).with_name("chat_template.jinja").read_text(encoding="utf-8")

    @property
    def stop_tokens(self) -> frozenset[int]:
        """Ids after which a reply is over."""
        return frozenset((self.end_of_turn, self.end_of_text))

    def check_vocabulary(self, vocab_size: int) -> None:
        """Raise BadInput if the tokenizer has more ids than a model with `vocab_size` of them knows."""
        if self.vocab_size > vocab_size:
            raise BadInput(
                f"the tokenizer has {self.vocab_size} ids and the model only {vocab_size}; "
                "give the tokenizer that the model was trained with"
            )

    def conversation(self, messages: Sequence[Message]) -> tuple[list[int], list[bool]]:
        """Return the ids of a conversation, and which of them the assistant writes: contents, calls and their ends.

        Raises BadInput if it uses tools, and the tokenizer has no tokens for them.
        """
        ids: list[int] = []
        written: list[bool] = []
        line_end = self.encode("\n")
        for role, content, learnt in self._turns(messages):
            head = [self.start_of_turn, *self.encode(f"{role}\n")]
            ids += [*head, *content, self.end_of_turn, *line_end]
            written += [False] * len(head) + [learnt] * (len(content) + 1) + [False] * len(line_end)
        return ids, written

    def _turns(self, messages: Sequence[Message]) -> Iterator[tuple[str, list[int], bool]]:
        """Yield the role and the ids of each turn's content, and whether it is trained on."""
        questions = [at for at, message in enumerate(messages) if message.role == "user"]
        last_question = questions[-1] if questions else len(messages)
        results: list[int] = []
        for at, message in enumerate(messages):
            if message.role == "tool":
                results += [*self.encode("\n" if results else ""), *self._marked(RESULT, message.content.strip())]
                if at + 1 == len(messages) or messages[at + 1].role != "tool":
                    yield "user", results, False
                    results = []
            elif message.role == "assistant":
                thinking, answer = message.thinking_and_answer
                shown = thinking if at > last_question else ""
                yield message.role, self._written(shown, answer, message.calls), message.is_learnt and shown == thinking
            else:
                yield message.role, self.encode(message.content.strip()), False

    def _written(self, thinking: str, answer: str, calls: Sequence[ToolCall]) -> list[int]:
        """Return the ids of what an assistant writes in a turn."""
        thought = f"{THINKING}\n{thinking}\n{END_OF_THINKING}\n\n" if thinking else ""
        ids = self.encode(thought + answer + ("\n" if answer and calls else ""))
        for number, call in enumerate(calls):
            ids += [*self.encode("\n" if number else ""), *self._marked(CALL, call.text)]
        return ids

    def _marked(self, marker: str, text: str) -> list[int]:
        """Return the ids of a call or a result; raises BadInput if the tokenizer has no tokens for them."""
        if not self.has_tools:
            raise BadInput(
                "the conversation uses tools, but the tokenizer has no tokens for them; train it with "
                "tokenizer.tools = true"
            )
        return [self._tools[marker], *self.encode(f"\n{text}\n"), self._tools[_ENDS[marker]]]

    def prompt(self, messages: Sequence[Message]) -> list[int]:
        """Return the ids after which the assistant's next content begins."""
        return [*self.conversation(messages)[0], self.start_of_turn, *self.encode("assistant\n")]

    def calls_in(self, ids: Sequence[int]) -> tuple[str, list[ToolCall | None]]:
        """Return what an assistant wrote before its calls, and each call; None for one that is not what a call must be.

        Only the tokens of calls count: a text that looks like them is text.
        """
        calls: list[ToolCall | None] = []
        before, rest = ids, list(ids)
        while self.has_tools and self._tools[CALL] in rest:
            start = rest.index(self._tools[CALL])
            before = before if calls else rest[:start]
            rest = rest[start + 1 :]
            end = rest.index(self._tools[END_OF_CALL]) if self._tools[END_OF_CALL] in rest else len(rest)
            calls.append(ToolCall.parse(self.decode(rest[:end])))
            rest = rest[end + 1 :]
        return self.decode(before).strip(), calls

    def after_calls(self, results: Sequence[str]) -> list[int]:
        """Return the ids that follow an assistant's calls: the end of its turn, their results, the next turn's head."""
        return [self.end_of_turn, *self.encode("\n"), *self.prompt([Message("tool", result) for result in results])]

    def document(self, text: str) -> list[int]:
        """Return the ids of a document that begins with `text`."""
        return [self.end_of_text, *self.encode(text)]

    def beginning_of_call(self, name: str | None) -> tuple[list[int], str]:
        """Return the ids, and their text, with which an assistant begins a call: of the tool `name`, or of any.

        Raises BadInput if the tokenizer has no tokens for calls.
        """
        text = '\n{"name":' if name is None else f"\n{ToolCall(name, '').text.removesuffix(' }')}"
        marker = self._marked(CALL, "")[0]
        return [marker, *self.encode(text)], CALL + text

    def token_bytes(self, token: int) -> bytes:
        """Return the bytes of a token, which may be a part of a character; those of its name if it is a special one."""
        name: str = self._tokenizer.id_to_token(token) or ""
        if token not in self._special_tokens and (written := bytes_of(name)) is not None:
            return written
        return name.encode()

    def encode(self, text: str) -> list[int]:
        """Return the ids of plain text, without any special token."""
        ids: list[int] = self._tokenizer.encode(without_surrogates(text), add_special_tokens=False).ids
        return ids

    def encode_all(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of several plain texts, on all cores."""
        whole = [without_surrogates(text) for text in texts]
        return [encoding.ids for encoding in self._tokenizer.encode_batch_fast(whole, add_special_tokens=False)]

    @property
    def vocab_size(self) -> int:
        """One more than the largest id; ids may have gaps."""
        return 1 + max(self._tokenizer.get_vocab().values())

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
    except BaseException as error:
        # The binding raises bare Exception, and where its own code fails a panic, which is none.
        if isinstance(error, Exception) or type(error).__module__ == "pyo3_runtime":
            raise BadInput(f"the tokenizer {path} cannot be read: {error}") from error
        raise
    return ChatFormat(tokenizer)


def _special(tokenizer: Tokenizer, token: str) -> int:
    found = tokenizer.token_to_id(token)
    if found is None:
        raise BadInput(
            f"the tokenizer has no special token {token}; train it with {END_OF_TEXT}, {START_OF_TURN}, "
            f"{END_OF_TURN} as ids 0, 1, 2"
        )
    return int(found)
