"""Preference data: pairs of replies to one prompt, as batches in which only the replies are targets.

Notable:
- Every pair is accounted for: one that is there twice, whose replies are equal, or of which a text is longer than the
  context, is dropped and counted; a reply that was cut would be judged by what is left of it.
- Pairs are held out by their prompts, so no prompt is both trained on and scored.
- A row of a batch is a pair, (2, T): the chosen text, then the rejected one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import xxhash

from model.base.errors import BadInput
from model.base.json_lines import read_json_lines
from model.data.chat_format import ChatFormat, Message
from model.data.conversations import conversation_of
from model.data.packed_sequences import Batch, IntArray, ShuffledOrder, reply_rows, share

_EXPECTED = (
    'a pair looks like {"prompt": "...", "chosen": "...", "rejected": "..."}; replies with a label each are for '
    "`method: kto`"
)


@dataclass(frozen=True)
class Pair:
    """Two replies to a prompt, as tokens."""

    prompt: tuple[int, ...]
    chosen: tuple[int, ...]
    """Up to the end of its turn, as is `rejected`."""
    rejected: tuple[int, ...]

    @property
    def replies(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The chosen one, then the rejected one."""
        return self.chosen, self.rejected


class TwoReplies(Protocol):
    """Two replies to a prompt, as tokens, which a model scores together."""

    @property
    def prompt(self) -> tuple[int, ...]:
        """The prompt."""

    @property
    def replies(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Each up to the end of its turn."""


AnyReplies = TypeVar("AnyReplies", bound=TwoReplies)


@dataclass(frozen=True)
class PreferenceData(Generic[AnyReplies]):
    """What a file of preferences holds."""

    trained: list[AnyReplies]
    held_out: list[AnyReplies]
    digest: str
    """xxh3-128 of all tokens: equal digests mean equal batches."""
    facts: dict[str, int]
    """Numbers of what is in the file, of what is held out, and of what is dropped, by reason."""


def open_pairs(path: Path, chat: ChatFormat, context: int, held_out_fraction: float) -> PreferenceData[Pair]:
    """Read the pairs of a JSONL file (model/preferences/config.py has the form of a line).

    Raises BadInput if a line is malformed, or no pair is left to train on.
    """
    facts = dict.fromkeys(("pairs", "held_out", "duplicates", "equal_replies", "too_long"), 0)
    seen: set[Pair] = set()
    trained: list[Pair] = []
    held_out: list[Pair] = []
    digest = xxhash.xxh3_128()
    for where, values in read_json_lines(path, "pairs", _EXPECTED):
        pair = _pair(values, where, chat)
        facts["pairs"] += 1
        longest = len(pair.prompt) + max(map(len, pair.replies))
        fault = "equal_replies" if pair.chosen == pair.rejected else "too_long" if longest > context + 1 else None
        if fault or pair in seen:
            facts[fault or "duplicates"] += 1
            continue
        seen.add(pair)
        digest.update(repr(pair).encode())
        (held_out if is_held_out(pair.prompt, held_out_fraction) else trained).append(pair)
    facts["held_out"] = len(held_out)
    require_trained(trained, "pair", path, context, facts)
    return PreferenceData(trained, held_out, digest.hexdigest(), facts)


def require_trained(trained: Sequence[Any], what: str, path: Path, context: int, facts: Mapping[str, int]) -> None:
    """Raise BadInput with the counts where nothing is left to train on."""
    if not trained:
        counts = ", ".join(f"{name.replace('_', ' ')}: {count}" for name, count in facts.items())
        raise BadInput(f"{path} holds no {what} that can be trained on within {context} tokens ({counts})")


class PairBatches:
    """An endless stream of pairs, reshuffled in each epoch, with the numbers that a loss needs beside them."""

    def __init__(
        self,
        pairs: Sequence[TwoReplies],
        columns: Sequence[npt.NDArray[np.float32]],
        context: int,
        per_step: int,
        seed: int,
    ) -> None:
        """Take pairs, and columns with an entry for each; a step has `per_step` pairs, over all processes."""
        self._pairs, self._columns, self._context = pairs, columns, context
        self._order = ShuffledOrder(len(pairs), per_step, seed)

    def batch(self, step: int, rank: int, world_size: int) -> Batch:
        """Return the share of process `rank` of `world_size` in step number `step`, from 0, as rows of (2, T)."""
        chosen = self._order.of_step(step)
        own = chosen[share(len(chosen), rank, world_size)]
        inputs, targets = pair_rows([self._pairs[number] for number in own], self._context)
        pairs = [self._pairs[number] for number in chosen]
        tokens = sum(2 * len(pair.prompt) + sum(map(len, pair.replies)) for pair in pairs)
        columns = (
            column[own] if len(own) else np.zeros((1, *column.shape[1:]), np.float32) for column in self._columns
        )
        return Batch(inputs, targets, None, len(chosen), tokens, tuple(columns))


def pair_rows(pairs: Sequence[TwoReplies], context: int) -> tuple[IntArray, IntArray]:
    """Return inputs and targets of pairs, each (pairs, 2, T); a row of padding where there are none."""
    texts = [(pair.prompt, reply) for pair in pairs for reply in pair.replies]
    inputs, targets = reply_rows(texts, context, pad_token=0, least=2)
    return inputs.reshape(-1, 2, inputs.shape[1]), targets.reshape(-1, 2, targets.shape[1])


def is_held_out(prompt: tuple[int, ...], fraction: float) -> bool:
    """Return whether what answers this prompt is not trained on."""
    return xxhash.xxh3_64_intdigest(repr(prompt)) < fraction * 2**64


def read_replies(
    values: Mapping[str, Any], names: Sequence[str], where: str, chat: ChatFormat, expected: str
) -> tuple[tuple[int, ...], list[tuple[int, ...]]]:
    """Return the tokens of a line's prompt, and those of its replies, each up to the end of its turn.

    Raises BadInput, with what is `expected`, unless an assistant has the last word in each, and all answer the same.
    """
    tools = values.get("tools") or []
    read = [_conversation(values.get("prompt"), values[name], tools, where, expected) for name in names]
    if any(messages[:-1] != read[0][:-1] for messages in read):
        raise BadInput(f"{where}: the messages before the two replies differ; both must answer the same")
    prompt = chat.prompt(read[0][:-1])
    return tuple(prompt), [_reply(chat, messages, len(prompt)) for messages in read]


def _pair(values: Any, where: str, chat: ChatFormat) -> Pair:
    if not isinstance(values, dict) or not {"chosen", "rejected"} <= values.keys():
        raise BadInput(f"{where}: {_EXPECTED}")
    prompt, (chosen, rejected) = read_replies(values, ("chosen", "rejected"), where, chat, _EXPECTED)
    return Pair(prompt, chosen, rejected)


def _reply(chat: ChatFormat, messages: list[Message], begin: int) -> tuple[int, ...]:
    ids, written = chat.conversation(messages)
    return tuple(ids[begin : len(ids) - written[::-1].index(True)])


def _conversation(prompt: Any, reply: Any, tools: Any, where: str, expected: str) -> list[Message]:
    """Return the messages of a prompt and a reply; raises BadInput unless an assistant has the last word."""
    messages: list[Any] = []
    for role, said in (("user", prompt or []), ("assistant", reply)):
        if not isinstance(said, str | list):
            raise BadInput(f"{where}: {expected}; got {str(said)[:80]}")
        messages += [{"role": role, "content": said}] if isinstance(said, str) else said
    found = conversation_of({"messages": messages, "tools": tools}, where)
    if len(found) < 2 or found[-1].role != "assistant":
        raise BadInput(f"{where}: a reply must be a text, or end with a message of the assistant, after a prompt")
    return [*found[:-1], replace(found[-1], is_learnt=True)]  # a weight is for finetuning
