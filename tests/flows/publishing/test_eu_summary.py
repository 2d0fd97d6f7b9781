"""The EU's summary of training content: every number is that of the store, and names where it is from."""

from collections import Counter

import pyarrow.parquet as pq
import pytest

from flows.publishing.corpus_facts import finished_corpus, read_corpus_facts
from flows.publishing.eu_summary import eu_summary, summary_page
from flows.store.run_record import RunRecord
from tasks.base.errors import PermanentError
from tasks.dataset.store import Store


def corpus_rows(store: Store, record: RunRecord) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = pq.read_table(store.local(record.stages["corpus"].plan.folder)).to_pylist()
    return rows


def test_the_corpus_is_counted_whole(crawled: tuple[Store, RunRecord]) -> None:
    store, record = crawled
    rows = corpus_rows(store, record)
    facts = read_corpus_facts(store, finished_corpus(store)[1])
    assert facts.documents == len(rows)
    assert facts.text_bytes == sum(len(str(row["text"]).encode()) for row in rows)
    assert facts.domains == Counter(row["domain"] for row in rows)
    assert facts.languages == Counter(row["language"] for row in rows)
    assert facts.licenses == Counter(row["license"] for row in rows if row["license"])
    assert sum(facts.domain_bytes.values()) == sum(facts.language_bytes.values()) == facts.text_bytes


def test_each_number_has_its_source(crawled: tuple[Store, RunRecord]) -> None:
    store, record = crawled
    summary = eu_summary(store)
    values = {(figure.section, figure.what): figure.value for figure in summary.figures}
    assert values["1.3", "Documents"] == f"{len(corpus_rows(store, record)):,}"
    assert values["2.5", "Synthetic data"].startswith("a synthetic web")
    for figure in summary.figures:
        place = figure.source.partition(":")[0]
        assert figure.value and (figure.source or "filled in" in figure.value)
        if place.startswith(("runs/", "datasets/")):
            assert store.exists(place), place


def test_a_small_provider_names_fewer_domains(crawled: tuple[Store, RunRecord]) -> None:
    large, small = eu_summary(crawled[0]), eu_summary(crawled[0], small_provider=True)
    assert 0 < len(small.domains) <= len(large.domains)
    assert large.domains == sorted(large.domains, key=lambda one: -one[1])
    assert "5% or 1,000" in small.domains_rule and "10%" in large.domains_rule
    page = summary_page(large)
    assert page.count("## ") == 4 and f"| {large.domains[0][0]} |" in page


def test_a_store_without_a_corpus_says_so(tmp_path: object) -> None:
    with pytest.raises(PermanentError, match="holds no finished corpus"):
        eu_summary(Store(str(tmp_path)))
