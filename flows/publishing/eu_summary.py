"""The public summary of training content that the EU's AI Act asks for (Article 53(1)(d)), filled in from a store.

Source: the European Commission's template of 24 July 2025, whose sections and numbers these are. What a store cannot
know, such as the provider's name, is left to be filled in, and says so. Every number names its place in the store.
"""

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from flows.publishing.corpus_facts import CorpusFacts, finished_corpus, read_corpus_facts
from flows.publishing.markdown import counts_table, escaped
from flows.store.datasets import REMOVED
from flows.store.run_record import RunRecord
from tasks.base.config import Config
from tasks.corpus.harm import CATEGORIES
from tasks.dataset.manifest import Manifest, read_manifest
from tasks.dataset.store import Store
from tasks.extract.url_rules import URL_REASONS

_TO_FILL = "*to be filled in by the provider*"
_LARGE_SHARE, _SMALL_SHARE, _SMALL_MOST = 0.10, 0.05, 1000
_TEXT_SIZES = ((10**9, "less than 1 billion tokens"), (10**13, "1 billion to 10 trillion tokens"))
_LANGUAGES = 30


class Figure(Config):
    """A number or a fact of the summary."""

    section: str
    """The template's section, such as 2.3."""
    what: str
    value: str
    source: str
    """Where in the store it is from."""


class EuSummary(Config):
    """The summary of a store's newest corpus."""

    run: str
    figures: list[Figure]
    domains: list[tuple[str, int]]
    """The most relevant domains with the bytes of their texts, the largest first."""
    domains_rule: str
    """Which of all domains these are."""


@dataclass(frozen=True)
class _Read:
    """What the figures are made from."""

    store: Store
    record: RunRecord
    corpus: Manifest
    facts: CorpusFacts

    def manifest(self, stage: str) -> Manifest | None:
        planned = self.record.stages.get(stage)
        return read_manifest(self.store, stage, planned.plan.fingerprint) if planned else None

    def place(self, stage: str) -> str:
        return f"{self.record.stages[stage].plan.folder}.manifest.json"

    def removed(self, stage: str, reasons: tuple[str, ...]) -> int:
        manifest = self.manifest(stage)
        return sum(manifest.counters.get(REMOVED + reason, 0) for reason in reasons) if manifest else 0


def eu_summary(store: Store, small_provider: bool = False) -> EuSummary:
    """Return the summary of a store's newest corpus; a `small_provider` names fewer domains.

    Raises PermanentError where the store has no finished corpus.
    """
    record, corpus = finished_corpus(store)
    read = _Read(store, record, corpus, read_corpus_facts(store, corpus))
    named = Counter({name: size for name, size in read.facts.domain_bytes.items() if name})
    share = _SMALL_SHARE if small_provider else _LARGE_SHARE
    count = math.ceil(share * len(named))
    if small_provider:
        count = min(count, _SMALL_MOST)
    rule = f"the top {share:.0%}{f' or {_SMALL_MOST:,}, whichever is less,' if small_provider else ''}"
    return EuSummary(
        run=record.run,
        figures=[*_general(read), *_sources(read), *_processing(read)],
        domains=named.most_common(count),
        domains_rule=f"{count:,} of {len(named):,} domains: {rule} by bytes of text in the corpus",
    )


def _general(read: _Read) -> Iterator[Figure]:
    corpus, facts = read.corpus, read.facts
    folder = f"datasets/corpus/{corpus.fingerprint}"
    yield Figure(section="1.1", what="Provider and authorised representative", value=_TO_FILL, source="")
    yield Figure(section="1.2", what="Model and date of its placement on the market", value=_TO_FILL, source="")
    tokens = read.manifest("tokens")
    if tokens:
        count = tokens.counters.get("tokens", 0)
        size = next((words for most, words in _TEXT_SIZES if count < most), "more than 10 trillion tokens")
        yield Figure(section="1.3", what="Text", value=f"{size} ({count:,})", source=read.place("tokens"))
    yield Figure(section="1.3", what="Documents", value=f"{facts.documents:,}", source=read.place("corpus"))
    yield Figure(section="1.3", what="Bytes of text", value=f"{facts.text_bytes:,}", source=f"{folder}: text")
    yield Figure(section="1.3", what="Images, audio, video", value="none", source="the stages keep text only")
    latest = facts.last_date or "not known: the source gives no dates"
    yield Figure(section="1.3", what="Latest date of acquisition", value=latest, source=f"{folder}: date")
    shares = ", ".join(
        f"{code} {size / max(1, facts.text_bytes):.1%}" for code, size in facts.language_bytes.most_common(_LANGUAGES)
    )
    more = f", and {len(facts.languages) - _LANGUAGES} more" if len(facts.languages) > _LANGUAGES else ""
    what = "Languages, by share of the text"
    yield Figure(section="1.3", what=what, value=(shares or "none") + more, source=f"{folder}: language")


def _sources(read: _Read) -> Iterator[Figure]:
    recipe, facts = read.record.recipe, read.facts
    record = f"runs/{read.record.run}.json"
    source, synthetic = recipe["source"], recipe.get("synthetic_web")
    is_documents = source.get("kind") == "documents"
    others = (recipe.get("mixture") or {}).get("others") or {}
    sets = [f"documents from {source['base']}"] if is_documents else []
    sets += [f"the corpus {name}" for name in others]
    listed = "; ".join(sets) or "none"
    yield Figure(section="2.1", what="Public datasets", value=listed, source=f"{record}: recipe.source, recipe.mixture")
    yield Figure(section="2.2", what="Private datasets of third parties", value=_TO_FILL, source="")
    if synthetic or is_documents:
        yield Figure(section="2.3", what="Crawled by the provider", value="none", source=f"{record}: recipe")
    else:
        by = "CCBot, of the Common Crawl Foundation" if read.record.crawl.startswith("CC-") else _TO_FILL
        yield Figure(section="2.3", what="Crawler", value=by, source=f"{record}: crawl ({read.record.crawl})")
        period = f"{facts.first_date} to {facts.last_date}" if facts.first_date else "not known"
        place = f"datasets/corpus/{read.corpus.fingerprint}: date"
        yield Figure(section="2.3", what="Period of collection", value=period, source=place)
        fetched = read.manifest("fetch")
        if fetched:
            value = f"{fetched.counters.get('bytes', 0):,} bytes in {fetched.rows:,} files"
            yield Figure(section="2.3", what="Fetched from the crawl", value=value, source=read.place("fetch"))
        extracted = read.manifest("extract")
        if extracted:
            value = f"{extracted.counters.get('read', 0):,} pages read, {facts.documents:,} kept"
            yield Figure(section="2.3", what="Pages", value=value, source=read.place("extract"))
    yield Figure(section="2.4", what="User data", value=_TO_FILL, source="")
    made = "a synthetic web, generated by a program and not by a model" if synthetic else "none"
    yield Figure(section="2.5", what="Synthetic data", value=made, source=f"{record}: recipe.synthetic_web")


def _processing(read: _Read) -> Iterator[Figure]:
    recipe = read.record.recipe
    record = f"runs/{read.record.run}.json"
    heeded = ", ".join(recipe["extract"]["drop_robots"]) or "none"
    what = "Reservations of rights heeded, in HTTP headers and meta tags"
    yield Figure(section="3.1", what=what, value=heeded, source=f"{record}: recipe.extract.drop_robots")
    if "extract" in read.record.stages:
        opted = f"{read.removed('extract', ('robots',)):,} pages"
        yield Figure(section="3.1", what="Removed for a reservation", value=opted, source=read.place("extract"))
        left = f"{sum(read.facts.opt_outs.values()):,} directives on kept documents"
        place = f"datasets/corpus/{read.corpus.fingerprint}: robots"
        yield Figure(section="3.1", what="Other restrictions that pages state", value=left, source=place)
        refused = f"{read.removed('extract', URL_REASONS):,} pages"
        what = "Removed by lists of domains, addresses and words"
        yield Figure(section="3.2", what=what, value=refused, source=read.place("extract"))
    harm = "a lexicon of harmful content" if recipe.get("harm") else "none beyond the lists"
    yield Figure(
        section="3.2", what="Checks for illegal and harmful content", value=harm, source=f"{record}: recipe.harm"
    )
    if recipe.get("harm"):
        removed = {category: read.corpus.counters.get(f"{REMOVED}harm_{category}", 0) for category in CATEGORIES}
        harmful = ", ".join(f"{category} {count:,}" for category, count in removed.items() if count) or "none"
        what = "Documents removed as harmful, by category"
        yield Figure(section="3.2", what=what, value=harmful, source=read.place("corpus"))
    data = recipe.get("personal_data") or {}
    replaced = ", ".join(data.get("replace") or ()) or "not replaced"
    yield Figure(section="3.3", what="Personal data", value=replaced, source=f"{record}: recipe.personal_data")


def summary_page(summary: EuSummary) -> str:
    """Return the summary as Markdown."""
    titles = {"1": "General information", "2": "List of data sources", "3": "Data processing aspects"}
    lines = ["# Public summary of training content", "", f"Run {summary.run}.", ""]
    for number, title in titles.items():
        lines += [f"## {number}. {title}", "", "| section | | | source in the store |", "|---|---|---|---|"]
        lines += [
            f"| {figure.section} | {figure.what} | {_value(figure.value)} | {escaped(figure.source)} |"
            for figure in summary.figures
            if figure.section.startswith(number)
        ]
        lines.append("")
    lines += [
        "## 2.3, the most relevant domains",
        "",
        f"{summary.domains_rule}.",
        "",
        counts_table(summary.domains, "domain", "bytes"),
    ]
    return "\n".join(lines) + "\n"


def _value(value: str) -> str:
    return value if value == _TO_FILL else escaped(value)
