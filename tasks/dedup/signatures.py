"""signatures: the MinHash band keys of each filtered document, which bring near-duplicates together."""

from collections.abc import Iterator

from tasks.dataset.schemas import SIGNATURES
from tasks.dataset.stage import Output, PartContext, Stage, Upstream
from tasks.dedup.minhash import MinHashConfig, signatures_table


def run(context: PartContext) -> Iterator[Output]:
    """Yield a row for each document, in their order."""
    config = context.config(MinHashConfig)
    for documents in context.input("filter", ["id", "text", "text_hash"]):
        yield Output(signatures_table(documents, config), counters={"documents": documents.num_rows})


STAGE = Stage(
    name="signatures",
    version=1,
    upstream=(Upstream("filter"),),
    config_of=lambda recipe: recipe.signatures,
    rows=SIGNATURES,
    run=run,
)
