"""Turns documents into rows of tokens, each on its side of the split between training and validation.

Notable: the split is decided by the hash of the text, so equal texts from two crawls are never on both sides, and a
document stays on its side when the corpus grows. Texts are encoded in batches of bounded bytes, because an
encoding holds each token's string too, about a hundred times what its number needs.
"""

from collections.abc import Iterator
from itertools import chain

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field
from tokenizers import Tokenizer

from tasks.base.config import Config
from tasks.base.errors import PermanentError
from tasks.base.hashing import chosen, mix64, text_hash_words
from tasks.dataset.schemas import tokens_schema
from tasks.tokenize.tokenizer_training import END_OF_TEXT, END_OF_TEXT_ID, SPECIAL_TOKENS

Int64s = npt.NDArray[np.int64]

TRAIN = "train"
VALIDATION = "validation"
_BATCH_BYTES = 4 << 20
_MOST_TOKENS = (1 << 31) - 1


class TokensConfig(Config):
    """Which documents are held out."""

    validation_fraction: float = Field(default=0.01, ge=0, lt=1)
    """Share of the documents (0 to 1) that is never trained on."""
    seed: int = Field(default=1, ge=0, lt=1 << 64)
    """Seed of the choice of documents."""


def _batches(sizes: Int64s) -> Iterator[slice]:
    """Yield slices of consecutive texts of about `_BATCH_BYTES` together, one text at least."""
    groups = (np.cumsum(sizes) - sizes) // _BATCH_BYTES
    starts = np.flatnonzero(np.diff(groups, prepend=-1))
    ends = np.append(starts[1:], len(sizes))[: len(starts)]
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        yield slice(start, end)


def encode_batch(tokenizer: Tokenizer, texts: pa.ChunkedArray) -> tuple[npt.NDArray[np.uint32], Int64s]:
    """Return the tokens of all texts one after another, and how many each has: (ids [total], lengths [n]).

    Adds no special tokens; one that is spelt out in a text is encoded as text if the tokenizer comes from
    `tasks.tokenize.tokenizer_training.encoder`.
    """
    sizes = pc.cast(pc.binary_length(texts), pa.int64()).to_numpy()
    ids, lengths = [np.empty(0, dtype=np.uint32)], [np.empty(0, dtype=np.int64)]
    for batch in _batches(sizes):
        strings = texts.slice(batch.start, batch.stop - batch.start).to_pylist()
        encoded = [encoding.ids for encoding in tokenizer.encode_batch_fast(strings, add_special_tokens=False)]
        counts = np.fromiter(map(len, encoded), dtype=np.int64, count=len(encoded))
        lengths.append(counts)
        ids.append(np.fromiter(chain.from_iterable(encoded), dtype=np.uint32, count=int(counts.sum())))
    return np.concatenate(ids), np.concatenate(lengths)


def token_lists(
    ids: npt.NDArray[np.uint32], lengths: Int64s, token: pa.DataType, end: int = END_OF_TEXT_ID
) -> pa.ListArray:
    """Return documents of `lengths` tokens as lists of `token`, with `end`, the id of `<|endoftext|>`, around each.

    `token` is uint16 or uint32. Raises `PermanentError` above 2^31 tokens, which no list column can address.
    """
    ends = np.cumsum(lengths + 2)
    total = int(ends[-1]) if len(ends) else 0
    if total > _MOST_TOKENS:
        raise PermanentError(
            f"A table of {len(lengths)} documents has {total} tokens, more than a list column holds ({_MOST_TOKENS}): "
            "tokenize it in smaller tables."
        )
    inside = np.ones(total, dtype=bool)
    inside[ends - 1] = False
    inside[ends - (lengths + 2)] = False
    tokens = np.full(total, end, dtype=token.to_pandas_dtype())
    tokens[inside] = ids
    offsets = np.concatenate([[0], ends]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(tokens, type=token))


def split_of(text_hashes: pa.ChunkedArray, config: TokensConfig) -> pa.Array:
    """Return the side, `train` or `validation`, of documents with these `text_hash`es, [n] strings.

    In a corpus of few documents none at all may be held out.
    """
    held_out = chosen(mix64(text_hash_words(text_hashes)[:, 0], config.seed), config.validation_fraction)
    return pc.if_else(pa.array(held_out), VALIDATION, TRAIN)


def check_tokenizer(tokenizer: Tokenizer, vocab_size: int | None = None) -> None:
    """Raise `PermanentError` unless the tokenizer has this project's special tokens, and `vocab_size` tokens where that
    is given."""
    for name in SPECIAL_TOKENS:
        if tokenizer.token_to_id(name) is None:
            raise PermanentError(f"The tokenizer has no {name!r}: use one that the stage `tokenizer` wrote.")
    if vocab_size is not None and tokenizer.get_vocab_size() != vocab_size:
        raise PermanentError(
            f"The tokenizer has {tokenizer.get_vocab_size()} tokens, its manifest says {vocab_size}: the file is not "
            "the one that the stage `tokenizer` wrote. Delete its dataset and run again to train it anew."
        )


def tokens_table(documents: pa.Table, tokenizer: Tokenizer, config: TokensConfig) -> pa.Table:
    """Return rows of `tasks.dataset.schemas.tokens_schema` for documents with `id text text_hash`, in their order."""
    schema = tokens_schema(tokenizer.get_vocab_size())
    ids, lengths = encode_batch(tokenizer, documents["text"])
    end = tokenizer.token_to_id(END_OF_TEXT) or 0  # `check_tokenizer` has seen that there is one
    lists = token_lists(ids, lengths, schema.field("tokens").type.value_type, end)
    n_bytes = pc.cast(pc.binary_length(documents["text"]), pa.int32())
    n_tokens = pc.list_value_length(lists)
    split = split_of(documents["text_hash"], config)
    return pa.table([documents["id"], lists, n_tokens, n_bytes, split], schema=schema)
