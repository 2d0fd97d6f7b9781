"""What the extraction of a crawl does to a model: held-out text in bits per byte, after equal tokens.

Notable: no page of a domain with a held-out text is trained on, and all sides have one tokenizer, learnt from the
corpora of all of them. The intervals are over seeds, which draw the weights and the order of the batches; the corpora
and the held-out texts stay the same.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from scipy.stats import t as student
from tokenizers import Tokenizer

from flows.recipe.loading import load_recipe
from model.base.config import PretrainSection
from model.data.token_cache import TokenCache
from tasks.extract.language import identify
from tasks.extract.training.gold_pages import read_gold
from tasks.extract.url_rules import host_of, registered_domain
from tasks.tokenize.encoding import TokensConfig, tokens_table
from tasks.tokenize.tokenizer_training import TokenizerConfig, encoder, train_tokenizer
from tests.bench.data.crawl_corpus import dataset_folder, make_corpus
from tests.bench.side_by_side import show
from tests.bench.training.held_out_training import bits_by_group
from tests.bench.training.packed_corpus import write_packed
from tests.conftest import ROOT

STRUCTURE_GOLD = ROOT.parent / "shared" / "structure-gold" / "dev.jsonl.gz"
OF_THE_CRAWL, OTHERS, MEAN = "gold of the crawl", "Markdown and others", "mean of the groups"
BEFORE, SHIPPED, MARKDOWN = "precision, fineweb", "auto, fineweb", "auto, Markdown, structured"
SIDES: Mapping[str, Mapping[str, object]] = {
    BEFORE: {"extract.extractor": "precision"},
    SHIPPED: {"extract.extractor": "auto"},
    MARKDOWN: {"extract.extractor": "auto", "extract.format": "markdown", "filter.profiles": "[structured]"},
}
SEEDS = (1, 2, 3)
VOCABULARY = 2048
STEPS = 200
MOST_CHARS = 800
"""Of a held-out text, about what the model sees at once: to score all of each would take longer than to train."""
TRAINED_ON = "kernel.org"
"""A domain with a page of gold, and 222 pages of the crawl: these are trained on, and the gold is not scored."""


@pytest.mark.bench
@pytest.mark.timeout(0)
def test_a_model_learns_from_the_new_extraction_as_well_as_from_the_old(common_crawl: Path, tmp_path: Path) -> None:
    if not STRUCTURE_GOLD.is_file():
        pytest.skip("the gold of pages of seven kinds is not here")
    gold = dict(held_out_texts(common_crawl))
    blocked = tmp_path / "held-out-domains.txt"
    blocked.write_text("\n".join(sorted({domain for texts in gold.values() for domain, _ in texts})))
    corpora = {}
    for number, (side, settings) in enumerate(SIDES.items()):
        refused = f"[builtin:url-blocked-domains.txt, {blocked}]"
        make_corpus(common_crawl, tmp_path / str(number), {**settings, "extract.urls.blocked_domains": refused})
        corpora[side] = pq.read_table(dataset_folder(tmp_path / str(number), "corpus"))
    texts = (text for corpus in corpora.values() for text in corpus["text"].to_pylist())
    tokenizer = encoder(train_tokenizer(texts, TokenizerConfig(vocab_size=VOCABULARY)).to_str())
    groups = {name: token_cache(tokenizer, [text for _, text in found]) for name, found in gold.items()}
    for side, corpus in corpora.items():
        tokens = tokens_table(corpus, tokenizer, TokensConfig(validation_fraction=0))
        write_packed(tmp_path / side, tokens, first_crawl(seed=0).shape.context)
        show(side, {"documents": corpus.num_rows, "tokens": pc.sum(tokens["n_tokens"]).as_py()})
    bits: defaultdict[str, list[dict[str, float]]] = defaultdict(list)
    for seed in SEEDS:
        for side in SIDES:
            found = bits_by_group(tmp_path / side / "tokens", tmp_path / side / "packing", first_crawl(seed), groups)
            bits[side].append({**found, MEAN: fmean(found.values())})
            show(f"{side}, seed {seed}: bits per byte", bits[side][-1])
    for side in SIDES:
        show(f"{side}: bits per byte", dict(means(bits[side])))
    for side in (SHIPPED, MARKDOWN):
        show(f"{side}, less than {BEFORE}", dict(means(differences(bits[BEFORE], bits[side]))))
    assert fmean(of[MEAN] for of in bits[SHIPPED]) <= fmean(of[MEAN] for of in bits[BEFORE])


def held_out_texts(crawl: Path) -> Mapping[str, list[tuple[str, str]]]:
    """Domain and text of the gold in English, by the kind of its page."""
    found: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
    for file, unknown in ((crawl / "gold.jsonl.gz", OF_THE_CRAWL), (STRUCTURE_GOLD, OTHERS)):
        for gold in read_gold(file):
            domain = registered_domain(host_of(gold.url))
            if domain != TRAINED_ON and gold.text and identify(gold.text)[0] == "en":
                found[gold.kind or unknown].append((domain, gold.text[:MOST_CHARS]))
    return found


def token_cache(tokenizer: Tokenizer, texts: Sequence[str]) -> TokenCache:
    """Texts as the programs of the model read them."""
    hashes = pa.array(["0" * 32] * len(texts))
    documents = pa.table({"id": list(map(str, range(len(texts)))), "text": texts, "text_hash": hashes})
    rows = tokens_table(documents, tokenizer, TokensConfig())
    tokens = rows["tokens"].combine_chunks()
    return TokenCache(
        tokens=tokens.flatten().to_numpy(),
        offsets=np.concatenate([[0], np.cumsum(rows["n_tokens"].to_numpy(), dtype=np.int64)]),
        parts=np.array([0, len(texts)]),
        byte_counts=rows["n_bytes"].to_numpy(),
        validation=np.ones(len(texts), dtype=bool),
        largest_token=tokenizer.get_vocab_size() - 1,
        digest="",
    )


def first_crawl(seed: int) -> PretrainSection:
    """The model of `first-crawl` and how it learns, but for vocabulary and steps."""
    changes = [f"tokenizer.vocab_size={VOCABULARY}", f"pretrain.loop.steps={STEPS}", "pretrain.loop.compile=true"]
    section = load_recipe("first-crawl", [*changes, f"pretrain.loop.seed={seed}"]).pretrain
    assert section is not None
    return section


def differences(first: Sequence[Mapping[str, float]], second: Sequence[Mapping[str, float]]) -> list[dict[str, float]]:
    """First less second, seed by seed."""
    return [{name: one[name] - other[name] for name in one} for one, other in zip(first, second, strict=True)]


def means(seeds: Sequence[Mapping[str, float]]) -> Iterator[tuple[str, float]]:
    """Each group's mean over the seeds, its name with half of the 95% interval."""
    factor = float(student.ppf(0.975, len(seeds) - 1)) / len(seeds) ** 0.5
    for name in seeds[0]:
        values = [of[name] for of in seeds]
        yield f"{name} (± {factor * stdev(values):.4f})", fmean(values)
