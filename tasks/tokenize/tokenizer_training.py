"""Training of the tokenizer: byte-level BPE on a sample of the corpus.

Notable: the sample is chosen by a hash of each document's id, so it is the same whatever the order, the parts or the
workers; BPE only counts words, so the same sample gives the same file byte for byte. Text is split by the pattern that
Qwen2 published with its tokenizer, which transformers and llama.cpp ("qwen2") both know, and is not normalised, so that
decoding gives back what was encoded. Text never encodes to a special token; `encoder` sees to that, the file does not.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Annotated, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import AfterValidator, Field, model_validator
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from tasks.base.config import Config
from tasks.base.errors import PermanentError
from tasks.base.hashing import UInt64s, hash_strings, mix64
from tasks.dataset.data_files import DataFile, is_local

END_OF_TEXT = "<|endoftext|>"
TURN_START = "<|im_start|>"
TURN_END = "<|im_end|>"
SPECIAL_TOKENS = (END_OF_TEXT, TURN_START, TURN_END)
"""In the order of their ids, from 0. The first stands before and after each document, begins and pads."""
END_OF_TEXT_ID = 0
TOOL_TOKENS = ("<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>")
"""Around each call of a tool and each result of one; their ids follow those above in a tokenizer with tools. The names
are those of Qwen3, which the servers' parsers of tool calls look for."""

CHAT_WORDS = """system
user
assistant
Tools you can call, one a line:
{"name": "calculator", "arguments": {"expression": "string"}}
{"name": "search", "arguments": {"query": "string"}}
"""
"""What conversations have around their words: roles, and definitions and calls of the tools that are built in."""
_CHAT_COPIES = 1000
"""Times that these are added to a sample, so that their letters are merged before a small corpus's rare words."""

_FEWEST_PARTS = 4096
_PARTS_PER_SAMPLE = 4

Int64s = npt.NDArray[np.int64]

QWEN2_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""English contractions; a word with one character before it; one digit; a run of symbols; line ends; other space."""


def _file_of_folder(path: str) -> str:
    return f"{path.rstrip('/')}/tokenizer.json" if is_local(path) and Path(path).is_dir() else path


class TokenizerConfig(Config):
    """What the tokenizer is trained on, and how many tokens it has."""

    vocab_size: int = Field(default=32768, ge=256 + len(SPECIAL_TOKENS), le=1 << 20)
    """Tokens in the vocabulary: the special ones, 256 bytes, and as many merges as remain."""
    sample_bytes: int = Field(default=2_000_000_000, ge=1)
    """Bytes of UTF-8 text to train on, at most; documents are added until it is reached. Training needs memory for the
    distinct words of the sample."""
    max_document_chars: int = Field(default=10_000, ge=1)
    """Code points taken of each document of the sample, so that a few long ones do not decide."""
    min_frequency: int = Field(default=2, ge=1)
    """How often a pair of tokens must occur to be merged."""
    seed: int = Field(default=1, ge=0, lt=1 << 64)
    """Seed of the choice of documents."""
    tools: bool = False
    """Whether there are special tokens around calls and results of tools too, for chat models that are taught to call
    them."""
    chat_words: bool = False
    """Whether what conversations have around their words (`assistant`, a call's frame) has tokens of its own whatever
    the corpus holds: with a small vocabulary a call then costs two thirds of the tokens, and the tools' list half."""
    without_held_out: bool = False
    """Whether documents that `tokens` holds out are left out of the sample, so that they measure the tokenizer too."""
    path: Annotated[DataFile, AfterValidator(_file_of_folder)] | None = None
    """A byte-level tokenizer.json (GPT-2's, Llama 3's, Qwen's), or a folder with one, used in place of training; the
    special tokens that it lacks are added. `vocab_size` says how many tokens it then has."""

    @property
    def special_tokens(self) -> tuple[str, ...]:
        """The special tokens in the order of their ids, from 0."""
        return SPECIAL_TOKENS + TOOL_TOKENS if self.tools else SPECIAL_TOKENS

    @model_validator(mode="after")
    def _can_be_trained(self) -> Self:
        if self.chat_words and self.path:
            raise ValueError("chat_words is for a tokenizer that is trained; leave it out with a path")
        if self.vocab_size < 256 + len(self.special_tokens):
            raise ValueError(f"with tools, vocab_size must be at least {256 + len(self.special_tokens)}")
        return self


def clipped(texts: pa.ChunkedArray, config: TokenizerConfig) -> pa.ChunkedArray:
    """Return the texts, cut to the length that is trained on."""
    return pc.utf8_slice_codeunits(texts, 0, config.max_document_chars)


def sampled_parts(sizes: Sequence[int], config: TokenizerConfig) -> list[int]:
    """Return the parts of a corpus, by the bytes of their files, that are read for the sample, in order.

    All of up to 4,096; of a larger corpus that many by a hash of their index, and more until their files have four
    times `sample_bytes`, so that a whole crawl is not read for a sample of it.
    """
    order = np.argsort(mix64(np.arange(len(sizes)), config.seed))
    bytes_read = np.cumsum(np.array(sizes)[order])
    enough = int(np.searchsorted(bytes_read, _PARTS_PER_SAMPLE * config.sample_bytes)) + 1
    return np.sort(order[: max(_FEWEST_PARTS, enough)]).tolist()


def sample_keys(ids: pa.ChunkedArray, config: TokenizerConfig) -> UInt64s:
    """Return the key of each document by which documents are taken, the smallest first, [n]."""
    return mix64(hash_strings(ids.to_pylist()), config.seed)


def sample_limit(
    documents: Iterable[tuple[UInt64s, npt.NDArray[np.integer]]], config: TokenizerConfig, at_a_time: int = 1 << 20
) -> int:
    """Return the largest key that is still in the sample, or -1 for an empty corpus.

    `documents`: the keys and sizes (bytes of the clipped text) of those of the whole corpus, in any order and in any
    number of tables. No more of them are held than `at_a_time`, or twice those in the sample.
    """
    waiting = [(np.empty(0, dtype=np.uint64), np.empty(0, dtype=np.int64))]
    inside = held = 0
    for keys, sizes in documents:
        waiting.append((keys, sizes.astype(np.int64)))
        held += len(keys)
        if held >= max(at_a_time, 2 * inside):
            waiting = [_smallest(waiting, config.sample_bytes)]
            inside = held = len(waiting[0][0])
    keys, _ = _smallest(waiting, config.sample_bytes)
    return int(keys[-1]) if len(keys) else -1


def _smallest(several: list[tuple[UInt64s, Int64s]], sample_bytes: int) -> tuple[UInt64s, Int64s]:
    """Return the smallest keys, in order, and their sizes, as far as they are needed for this many bytes."""
    keys, sizes = map(np.concatenate, zip(*several, strict=True))
    order = np.argsort(keys, kind="stable")
    last = int(np.searchsorted(np.cumsum(sizes[order]), sample_bytes))
    return keys[order[: last + 1]], sizes[order[: last + 1]]


def sample_documents(documents: pa.Table, limit: int, config: TokenizerConfig) -> pa.ChunkedArray:
    """Return the clipped texts of those `documents` (`id text`) that are in the sample with this `sample_limit`."""
    inside = sample_keys(documents["id"], config) <= np.uint64(limit) if limit >= 0 else np.zeros(len(documents), bool)
    return clipped(documents["text"].filter(pa.array(inside)), config)


def untrained_tokenizer() -> Tokenizer:
    """Return a byte-level BPE without merges, with the split pattern and the decoder."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(QWEN2_PATTERN), behavior="isolated", invert=False),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def train_tokenizer(texts: Iterator[str], config: TokenizerConfig) -> Tokenizer:
    """Return a tokenizer of exactly `vocab_size` tokens, trained on `texts`; `PermanentError` where they hold fewer."""
    seen = {"documents": 0, "bytes": 0}

    def counted() -> Iterator[str]:
        for text in texts:
            seen["documents"] += 1
            seen["bytes"] += len(text.encode())
            yield text

    tokenizer = untrained_tokenizer()
    trainer = trainers.BpeTrainer(
        vocab_size=config.vocab_size,
        min_frequency=config.min_frequency,
        special_tokens=[AddedToken(token, special=True, normalized=False) for token in config.special_tokens],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    chat = [CHAT_WORDS] * _CHAT_COPIES if config.chat_words else []
    tokenizer.train_from_iterator(chain(counted(), chat), trainer)
    reached = tokenizer.get_vocab_size()
    if reached != config.vocab_size:
        raise PermanentError(
            f"The tokenizer's sample of {seen['documents']} documents ({seen['bytes']} bytes) holds only {reached} "
            f"tokens, not tokenizer.vocab_size = {config.vocab_size}: lower vocab_size to {reached} or less, raise "
            "tokenizer.sample_bytes, or read more WARCs."
        )
    return _with_visible_tools(tokenizer) if config.tools else tokenizer


def _with_visible_tools(tokenizer: Tokenizer) -> Tokenizer:
    """Return the tokenizer with the tokens of tools as none of the special ones, as the trainer makes them all.

    Servers and pipelines leave special tokens out of what a model says, and would lose what tells a call from the rest.
    """
    tokenizer.add_tokens([AddedToken(token, special=False, normalized=False) for token in TOOL_TOKENS])
    # What was special once stays so in memory.
    return Tokenizer.from_str(tokenizer.to_str())


def completed(tokenizer_json: str, config: TokenizerConfig) -> Tokenizer:
    """Return a tokenizer of another maker with the special tokens that it lacks, which follow its own.

    Raises `PermanentError` if it is not byte-level, its ids have gaps, or it has not `vocab_size` tokens then.
    """
    try:
        tokenizer = Tokenizer.from_str(tokenizer_json)
    except Exception as error:  # tokenizers raises no other kind
        raise PermanentError(f"tokenizer.path is no tokenizer.json: {error}") from error
    if not isinstance(tokenizer.decoder, decoders.ByteLevel):
        raise PermanentError("tokenizer.path is not byte-level, and no other kind is read: GPT-2's, Llama 3's, Qwen's.")
    tokenizer.no_truncation()
    tokenizer.no_padding()
    missing = [token for token in config.special_tokens if tokenizer.token_to_id(token) is None]
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in missing])
    reached = tokenizer.get_vocab_size()
    if max(tokenizer.get_vocab().values()) != reached - 1:
        raise PermanentError("tokenizer.path has gaps between its ids: give each id up to the last one a token.")
    if reached != config.vocab_size:
        added = f", with {', '.join(missing)}" if missing else ""
        raise PermanentError(
            f"tokenizer.path has {reached} tokens{added}, and tokenizer.vocab_size is {config.vocab_size}: set it to "
            f"{reached}."
        )
    return _with_visible_tools(tokenizer) if config.tools else tokenizer


def encoder(tokenizer_json: str) -> Tokenizer:
    """Return a tokenizer read from its file's content, for which control tokens spelt out in a text stay text."""
    tokenizer = Tokenizer.from_str(tokenizer_json)
    tokenizer.encode_special_tokens = True
    # In memory, those of tools are special too: the setting is about special tokens only.
    tools = [token for token in TOOL_TOKENS if tokenizer.token_to_id(token) is not None]
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in tools])
    return tokenizer


def bytes_per_token(tokenizer: Tokenizer) -> npt.NDArray[np.int32]:
    """Return the number of UTF-8 bytes that each id stands for, [vocab_size]; 0 for special tokens.

    Summed over the tokens of a text they give the text's bytes, so nats over them give bits per byte of any stretch.
    """
    sizes = np.zeros(tokenizer.get_vocab_size(), dtype=np.int32)
    special = tokenizer.get_added_tokens_decoder().keys()
    for token, number in tokenizer.get_vocab().items():
        # In a byte-level vocabulary each character of a token stands for one byte.
        sizes[number] = 0 if number in special else len(token)
    return sizes
