"""Finetuning data: conversations as packed sequences in which only what the assistant writes is learnt.

Notable:
- Every conversation is accounted for: one longer than a sequence is cut after the last reply that fits as a whole, and
  one of which none does is dropped; both are counted and logged. So no reply is learnt without its end, and no sequence
  is all padding.
- A conversation is held out by a hash of its tokens, so a second copy is held out too.
- Packing is best-fit decreasing over the whole file; attention never crosses from one conversation into another.
"""

import bisect
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import xxhash

from model.base.config import SftSection
from model.base.errors import BadInput
from model.base.learning_config import ConversationShare
from model.data.chat_format import ChatFormat, Message
from model.data.conversations import read_conversations
from model.data.packed_sequences import PackedSequences, Packing
from model.data.replay import replayed_pieces
from model.data.token_cache import TokenCache

_EXCHANGES = 3


class Exchange(NamedTuple):
    """A prompt and the reply to it, as tokens."""

    prompt: tuple[int, ...]
    reply: tuple[int, ...]


@dataclass(frozen=True)
class ChatData:
    """Packed conversations, and how many were cut or dropped."""

    sequences: PackedSequences
    held_out: PackedSequences | None
    """Conversations that are only scored, all of them in each batch; None where there are none."""
    exchanges: list[Exchange]
    """The beginnings of some that are held out, or else of some that are trained on."""
    digest: str
    """xxh3-128 of ids, mask and packing: equal digests mean equal batches."""
    facts: dict[str, int]
    """Numbers of conversations, of those cut, dropped and held out, and of sequences."""


class TokenizedConversation(NamedTuple):
    """A conversation as tokens."""

    ids: list[int]
    written: list[bool]
    """Which of them the assistant writes."""

    @property
    def first_exchange(self) -> Exchange:
        """Its first reply, and what stands before."""
        begin = self.written.index(True)
        end = next((at for at in range(begin, len(self.ids)) if not self.written[at]), len(self.ids))
        return Exchange(tuple(self.ids[:begin]), tuple(self.ids[begin:end]))


@dataclass(frozen=True)
class _ChatSet:
    """A file's conversations."""

    trained: list[TokenizedConversation]
    held_out: list[TokenizedConversation]
    facts: Counter[str]

    @property
    def learnt(self) -> int:
        """Tokens that are learnt in a pass over the file."""
        return sum(sum(one.written) for one in self.trained)


def open_chat_data(config: SftSection, chat: ChatFormat, context: int, cache: TokenCache | None = None) -> ChatData:
    """Read, mix and pack the conversations that a config names, with the text of `cache` that it replays.

    Raises BadInput if a line is malformed, or no assistant says anything.
    """
    further = ((one.conversations, one.share) for one in config.mixture)
    sets = [(config.conversations, config.share), *further]
    read = [_open_set(Path(path), chat, context, config.held_out_fraction) for path, _ in sets]
    epochs = _epochs([share for _, share in sets], [one.learnt for one in read])
    seed = config.loop.seed
    mixed = [
        conversation
        for number, one in enumerate(read)
        for conversation in _repeated(one.trained, epochs[number], np.random.default_rng([seed, number]))
    ]
    if not mixed:
        names = ", ".join(path for path, _ in sets)
        raise BadInput(f"{names} holds no conversation in which an assistant says anything within {context} tokens")
    facts = {name: sum(one.facts[name] for one in read) for name in ("conversations", "cut", "dropped", "held_out")}
    if config.replay and cache is not None:
        learnt = sum(sum(one.written) for one in mixed)
        pieces = replayed_pieces(cache, round(config.replay * learnt), context, seed)
        facts["replayed_tokens"] = sum(len(piece) - 1 for piece in pieces)
        mixed += [TokenizedConversation(piece.tolist(), [True] * len(piece)) for piece in pieces]
    digest = xxhash.xxh3_128()
    packed = _packed(mixed, chat, context, config.loop.global_batch_size, seed, digest)
    aside = [conversation for one in read for conversation in one.held_out]
    held_out = _packed(aside, chat, context, None, 0, digest) if aside else None
    exchanges = [one.first_exchange for one in (aside or mixed)[:_EXCHANGES]]
    return ChatData(packed, held_out, exchanges, digest.hexdigest(), facts | {"sequences": packed.sequences})


def _open_set(path: Path, chat: ChatFormat, context: int, held_out_fraction: float) -> _ChatSet:
    found = _ChatSet([], [], Counter())
    for messages in read_conversations(path):
        found.facts["conversations"] += 1
        fitting = _fitting(messages, chat, context)
        if fitting is None:
            found.facts["dropped"] += 1
            continue
        conversation, is_cut = fitting
        found.facts["cut"] += is_cut
        place = xxhash.xxh3_64_intdigest(np.array(conversation.ids, np.uint32).tobytes())
        is_held_out = place < held_out_fraction * 2**64
        found.facts["held_out"] += is_held_out
        (found.held_out if is_held_out else found.trained).append(conversation)
    return found


def _fitting(messages: Sequence[Message], chat: ChatFormat, context: int) -> tuple[TokenizedConversation, bool] | None:
    """Return the conversation up to the last reply that fits, and whether there was more; None if no reply fits."""
    whole = TokenizedConversation(*chat.conversation(messages))
    if len(whole.ids) <= context + 1:
        return (whole, False) if any(whole.written[1:]) else None
    ends = [at + 1 for at, message in enumerate(messages) if message.role == "assistant"]
    # Each try costs a pass of the tokenizer, and a conversation may have thousands of turns.
    at = bisect.bisect_right(ends, context + 1, key=lambda end: len(chat.conversation(messages[:end])[0]))
    for end in reversed(ends[:at]):
        part = TokenizedConversation(*chat.conversation(messages[:end]))
        if len(part.ids) <= context + 1 and any(part.written[1:]):
            return part, True
    return None


def _epochs(shares: Sequence[ConversationShare], learnt: Sequence[int]) -> list[float]:
    """Return how often each set is in a pass over the mixture.

    With weights, as much of each as there can be without repeating any.
    """
    weights = [share.weight for share in shares if share.weight is not None]
    if not weights:
        return [1.0 if share.epochs is None else share.epochs for share in shares]
    tokens_of_weight = min(tokens / weight for tokens, weight in zip(learnt, weights, strict=True))
    return [tokens_of_weight * weight / max(1, tokens) for tokens, weight in zip(learnt, weights, strict=True)]


def _repeated(
    conversations: list[TokenizedConversation], epochs: float, draws: np.random.Generator
) -> list[TokenizedConversation]:
    whole, part = divmod(epochs, 1.0)
    some = sorted(draws.permutation(len(conversations))[: round(part * len(conversations))])
    return [*conversations * int(whole), *(conversations[number] for number in some)]


def _packed(
    conversations: Sequence[TokenizedConversation],
    chat: ChatFormat,
    context: int,
    global_batch_size: int | None,
    seed: int,
    digest: xxhash.xxh3_128,
) -> PackedSequences:
    """Return packed conversations; `digest` takes in what decides their batches. Without a size, one takes all."""
    tokens = np.concatenate([np.array(one.ids, dtype=np.uint32) for one in conversations])
    trained = np.concatenate([np.array(one.written, dtype=bool) for one in conversations])
    packing = pack([len(one.ids) for one in conversations], context + 1)
    for array in (tokens, trained, packing.offsets, packing.starts, packing.lengths):
        digest.update(np.ascontiguousarray(array).tobytes())
    size = global_batch_size or packing.sequences
    return PackedSequences(tokens, packing, context, size, seed, trained, chat.end_of_text)


def pack(lengths: list[int], room: int) -> Packing:
    """Pack pieces of the given lengths, none above `room`, by best-fit decreasing.

    Piece i starts where the pieces before it end in the token array.
    """
    starts = np.concatenate([[0], np.cumsum(lengths)])[:-1]
    bins: list[list[int]] = []
    space: list[tuple[int, int]] = []
    for piece in sorted(range(len(lengths)), key=lambda index: (-lengths[index], index)):
        at = bisect.bisect_left(space, (lengths[piece], -1))
        left, number = space.pop(at) if at < len(space) else (room, len(bins))
        if number == len(bins):
            bins.append([])
        bins[number].append(piece)
        bisect.insort(space, (left - lengths[piece], number))
    order = np.array([piece for pieces in bins for piece in pieces], dtype=np.int64)
    offsets = np.concatenate([[0], np.cumsum([len(pieces) for pieces in bins])]).astype(np.int64)
    return Packing(offsets, starts[order].astype(np.int64), np.array(lengths, dtype=np.int64)[order])
