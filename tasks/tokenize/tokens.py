"""tokens: the corpus encoded, each document on its side of the split between training and validation.

Notable: where the recipe mixes other corpora in, or what the run rephrases of its own, their parts come after the run's
own, encoded with the same tokenizer and split by the same hash of the text.
"""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tasks.dataset.schemas import tokens_schema
from tasks.dataset.stage import DatasetContext, Output, PartContext, PartInput, Stage, Upstream
from tasks.dataset.store import Store
from tasks.tokenize.encoding import TRAIN, TokensConfig, check_tokenizer, tokens_table
from tasks.tokenize.other_corpora import OtherCorporaConfig, corpus_documents, other_corpora, other_corpora_config
from tasks.tokenize.tokenizer_files import read_tokenizer

_COLUMNS = ["id", "text", "text_hash"]


class TokensStageConfig(TokensConfig, OtherCorporaConfig):
    """The recipe's section, and which other corpora are encoded too."""


def run(context: PartContext) -> Iterator[Output]:
    """Yield one row a document, in the documents' order."""
    config = context.config(TokensStageConfig)
    tokenizer = read_tokenizer(context)
    check_tokenizer(tokenizer, context.manifest("tokenizer").config["vocab_size"])
    for documents in _documents(context, config):
        rows = tokens_table(documents, tokenizer, config)
        counts = rows["n_tokens"]
        training = pc.equal(rows["split"], TRAIN)
        counters = {
            "documents": rows.num_rows,
            "tokens": int(pc.sum(counts).as_py() or 0),
            "train_tokens": int(pc.sum(counts.filter(training)).as_py() or 0),
            "bytes": int(pc.sum(rows["n_bytes"]).as_py() or 0),
        }
        yield Output(rows, counters=counters)


def _documents(context: PartContext, config: TokensStageConfig) -> Iterator[pa.Table]:
    """Return the documents of this part, of the run's own corpus or of another."""
    if not context.job.read_from:
        return context.input("corpus", _COLUMNS)
    name, _, index = context.job.read_from.partition("/")
    return corpus_documents(Store(config.stores[name]), config.others[name], int(index), _COLUMNS)


def _parts(context: DatasetContext) -> list[PartInput]:
    """Return a part for each of the run's own corpus, then one for each of the other corpora.

    What a part holds is all that counts, so tokens of another run with an equal tokenizer are taken over.
    """
    config = TokensStageConfig.model_validate(context.config)
    parts = [PartInput(digest=part.digest) for part in context.manifests["corpus"].parts]
    for corpus in other_corpora(config.others, config.stores):
        for index, part in enumerate(corpus.manifest.parts):
            parts.append(PartInput(digest=part.digest, read_from=f"{corpus.name}/{index}"))
    return parts


def schema(context: PartContext) -> pa.Schema:
    """Return the columns of a token part; the width of a token follows the vocabulary."""
    return tokens_schema(context.manifest("tokenizer").config["vocab_size"])


def _mixes_rephrased(recipe: Any) -> bool:
    is_made = recipe.synthesis and recipe.synthesis.rephrase
    return bool(
        is_made and recipe.mixture and any(one.dataset == "rephrased" for one in recipe.mixture.others.values())
    )


STAGE = Stage(
    name="tokens",
    version=2,
    upstream=(
        Upstream("corpus", in_part_inputs=True),
        Upstream("tokenizer", all_parts=True),
        Upstream("rephrased", in_part_inputs=True, when=_mixes_rephrased),
    ),
    config_of=lambda recipe: recipe.tokens.model_dump(mode="json") | other_corpora_config(recipe.mixture),
    pace=("stores",),
    choosing=("others",),
    rows=schema,
    run=run,
    parts=_parts,
)
