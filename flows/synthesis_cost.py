"""What a recipe's synthetic data will cost: requests, tokens and money, before the first request is sent.

Notable: prompts are estimated by their characters, four to a token; replies by the longest that is allowed, so the cost
is a bound. Replies that the store has already cost nothing, and are not looked for.
"""

from collections.abc import Iterator, Sequence
from itertools import islice

from rich.table import Table

from flows.display.numbers import grouped
from flows.prepare.optional_synthesis import NO_GENERATOR, without_generator
from flows.recipe.recipe import Recipe
from flows.store.run_record import newest_run_of
from tasks.base.config import Config
from tasks.base.plain_data import lines_of
from tasks.dataset.data_files import read_data_file
from tasks.dataset.manifest import Manifest, part_path, read_manifest
from tasks.dataset.parts import read_part
from tasks.dataset.store import Store
from tasks.synthesis.config import FromDocuments, SynthesisConfig

_CHARS_A_TOKEN = 4
_PROMPT_CHARS = 300
"""Of what is said around a text."""
_SCORE_TOKENS = 8
"""Of a reply that is a number."""
_SAMPLED_DOCUMENTS = 1000


class StageCost(Config):
    """What one stage of synthetic data takes."""

    stage: str
    requests: int
    prompt_tokens: int
    """Estimated."""
    reply_tokens: int
    """At most."""
    cost: float
    """In the currency of the recipe's prices."""


def synthesis_costs(recipe: Recipe, store: Store) -> tuple[StageCost, ...] | str:
    """Return the cost of each stage of synthetic data, none without a section; or why that cannot be known yet."""
    synthesis = recipe.synthesis
    if synthesis is None:
        return ()
    if without_generator(recipe):
        return NO_GENERATOR
    corpus = _corpus(recipe, store)
    if corpus is None and (synthesis.rephrase or synthesis.backtranslate):
        return (
            "What synthetic data costs follows from the corpus, which is not in the store yet: `sluice corpus --until "
            "corpus` makes it."
        )
    return tuple(_costs(synthesis, corpus, store))


def _costs(synthesis: SynthesisConfig, corpus: Manifest | None, store: Store) -> Iterator[StageCost]:
    most = synthesis.generator.max_tokens
    if corpus and (rephrase := synthesis.rephrase):
        documents, chars = _shown(corpus, store, rephrase)
        yield _cost(synthesis, "rephrased", documents * rephrase.formats_per_document, chars, most)
    if corpus and (backtranslate := synthesis.backtranslate):
        documents, chars = _shown(corpus, store, backtranslate)
        yield _cost(synthesis, "backtranslated", documents, chars, most)
        if backtranslate.min_score > 1:
            both = chars + most * _CHARS_A_TOKEN
            yield _cost(synthesis, "backtranslated, scores", documents, both, _SCORE_TOKENS)
    if synthesis.responses:
        lines = [line for _, line in lines_of(read_data_file(store, synthesis.responses.prompts))]
        chars = sum(map(len, lines)) // max(1, len(lines))
        requests = len(lines) * synthesis.responses.samples
        yield _cost(synthesis, "responses", requests, chars, most)
        if synthesis.pairs and synthesis.pairs.judge == "model":
            yield _cost(synthesis, "preference_pairs", requests, chars + most * _CHARS_A_TOKEN, _SCORE_TOKENS)


def _cost(synthesis: SynthesisConfig, stage: str, requests: int, chars: int, reply: int) -> StageCost:
    """Return the cost of requests that each show so many characters."""
    prices = synthesis.requests
    prompt_tokens = requests * (chars + _PROMPT_CHARS) // _CHARS_A_TOKEN
    reply_tokens = requests * reply
    cost = prompt_tokens * prices.price_per_million_prompt_tokens + reply_tokens * prices.price_per_million_reply_tokens
    return StageCost(
        stage=stage, requests=requests, prompt_tokens=prompt_tokens, reply_tokens=reply_tokens, cost=cost / 1e6
    )


def _corpus(recipe: Recipe, store: Store) -> Manifest | None:
    record = newest_run_of(store, recipe.name)
    planned = record.stages.get("corpus") if record else None
    return read_manifest(store, "corpus", planned.plan.fingerprint) if planned else None


def _shown(corpus: Manifest, store: Store, section: FromDocuments) -> tuple[int, int]:
    """Return how many documents are shown, and how many characters of each, by the first ones."""
    texts = (
        text
        for index in range(len(corpus.parts))
        for table in read_part(store, part_path("corpus", corpus.fingerprint, index), ["text"])
        for text in table["text"].to_pylist()
    )
    lengths = [min(len(text), section.max_document_chars) for text in islice(texts, _SAMPLED_DOCUMENTS)]
    return round(corpus.rows * section.share), sum(lengths) // max(1, len(lengths))


def synthesis_table(costs: Sequence[StageCost]) -> Table:
    """Return the costs as a table for a terminal."""
    table = Table("synthetic data", "requests", "prompt tokens", "reply tokens, at most", "cost, at most")
    for one in costs:
        numbers = (grouped(one.requests), grouped(one.prompt_tokens), grouped(one.reply_tokens), f"{one.cost:,.2f}")
        table.add_row(one.stage, *numbers)
    return table
