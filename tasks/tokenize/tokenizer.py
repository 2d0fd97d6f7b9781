"""tokenizer: one vocabulary from a sample of the whole corpus, written to tokenizers/<fingerprint>/tokenizer.json.

Notable: a tokenizer that the recipe names is written as it is, and no corpus is read. Otherwise the corpus, or some
thousand parts of a large one, is read twice and never held: once for the place of each document in the sample's order,
once for the texts of those that are in it. Beside the file lies the number of bytes that each id stands for.
"""

from collections.abc import Iterator
from io import BytesIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash
from tokenizers import Tokenizer

from tasks.base.errors import PermanentError
from tasks.dataset.data_files import read_data_file
from tasks.dataset.stage import Output, PartContext, Stage, Upstream
from tasks.tokenize.encoding import TRAIN, TokensConfig, split_of
from tasks.tokenize.tokenizer_files import token_bytes_path, tokenizer_path
from tasks.tokenize.tokenizer_training import (
    TokenizerConfig,
    bytes_per_token,
    clipped,
    completed,
    sample_documents,
    sample_keys,
    sample_limit,
    sampled_parts,
    train_tokenizer,
)

# Nothing of how it came about: what builds on an equal tokenizer is equal.
ROWS = pa.schema(
    [
        ("digest", pa.string()),  # xxh3-128 of the file
        ("vocab_size", pa.int64()),
    ]
)


class TokenizerStageConfig(TokenizerConfig):
    """The recipe's section, and which documents are held out."""

    held_out: TokensConfig | None = None
    """The choice of the documents that are left out of the sample; none are unless given."""


def run(context: PartContext) -> Iterator[Output]:
    """Train the tokenizer, write its files, and yield one row about them."""
    config = context.config(TokenizerStageConfig)
    if config.path:
        yield _written(context, completed(read_data_file(context.store, config.path).decode(), config))
        return
    lengths = (
        (sample_keys(documents["id"], config), pc.binary_length(clipped(documents["text"], config)).to_numpy())
        for documents in _documents(context, config)
    )
    limit = sample_limit(lengths, config)
    if limit < 0:
        raise PermanentError(
            "There is no document to train the tokenizer on: the corpus is empty, or tokens.validation_fraction holds "
            "out all of it. Lower it, or read more WARCs."
        )
    counted = {"documents": 0, "bytes": 0}

    def sample() -> Iterator[str]:
        for documents in _documents(context, config):
            texts = sample_documents(documents, limit, config)
            counted["documents"] += len(texts)
            counted["bytes"] += int(pc.sum(pc.binary_length(texts)).as_py() or 0)
            yield from texts.to_pylist()

    tokenizer = train_tokenizer(sample(), config)
    yield Output(counters={f"sample_{name}": count for name, count in counted.items()})
    yield _written(context, tokenizer)


def _written(context: PartContext, tokenizer: Tokenizer) -> Output:
    """Write the tokenizer's files, and return the row about them."""
    data = tokenizer.to_str(pretty=True).encode()
    context.store.write_bytes(tokenizer_path(context.job.fingerprint), data)
    table = BytesIO()
    np.save(table, bytes_per_token(tokenizer))
    context.store.write_bytes(token_bytes_path(context.job.fingerprint), table.getvalue())
    row = {"digest": xxhash.xxh3_128_hexdigest(data), "vocab_size": tokenizer.get_vocab_size()}
    return Output(pa.Table.from_pylist([row], ROWS))


def _documents(context: PartContext, config: TokenizerStageConfig) -> Iterator[pa.Table]:
    """Yield the documents that may be in the sample."""
    parts = sampled_parts([part.bytes for part in context.manifest("corpus").parts], config)
    if config.held_out is None:
        yield from (documents for _, documents in context.all_inputs("corpus", ["id", "text"], parts))
        return
    for _, documents in context.all_inputs("corpus", ["id", "text", "text_hash"], parts):
        yield documents.filter(pc.equal(split_of(documents["text_hash"], config.held_out), TRAIN))


STAGE = Stage(
    name="tokenizer",
    version=4,
    upstream=(Upstream("corpus", all_parts=True, when=lambda recipe: recipe.tokenizer.path is None),),
    config_of=lambda recipe: (
        recipe.tokenizer
        and TokenizerStageConfig(
            **dict(recipe.tokenizer), held_out=recipe.tokens if recipe.tokenizer.without_held_out else None
        )
    ),
    leaves_files=True,
    memory="the words of the sample: a smaller tokenizer.sample_bytes makes it smaller",
    rows=ROWS,
    run=run,
)
