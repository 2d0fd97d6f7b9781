"""The card of an exported corpus, as the Hugging Face Hub reads it: YAML for machines, then text for people."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from flows.publishing.corpus_facts import CorpusFacts
from flows.publishing.markdown import counts_table, escaped
from flows.store.run_record import RunRecord
from tasks.dataset.manifest import Manifest
from tasks.dataset.schemas import DOCUMENTS
from tasks.extract.language import UNKNOWN
from tasks.own_code.named_code import code_name, code_place, is_code

_SHOWN = 20
_SIZES = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"), (10**7, "1M<n<10M"))
_COLUMNS = {
    "id": "the document's address: file and offset or row",
    "url": "the page's address",
    "host": "its host",
    "domain": "its registered domain",
    "crawl": "the crawl, or the name of the source",
    "date": "when it was fetched",
    "language": "identified in the text, ISO 639-1",
    "language_score": "share of the text that is in it, 0 to 1",
    "text": "the text",
    "text_hash": "xxh3-128 of the text",
    "kind": "what the page is: article, documentation, forum and others",
    "method": "what found the text in the page",
    "extraction_score": "expected share of right words in the text (F1), 0 to 1",
    "title": "as the page declares, like the following",
    "published": "date",
    "declared_language": "language",
    "robots": "directives that restrict use",
    "license": "address of a licence",
    "source_id": "the id in the file that the document comes from",
}


def dataset_card(record: RunRecord, manifest: Manifest, facts: CorpusFacts) -> str:
    """Return README.md for a corpus."""
    head = yaml.safe_dump(_head(record, facts), sort_keys=False, allow_unicode=True)
    return f"---\n{head}---\n\n{_text(record, manifest, facts)}"


def _head(record: RunRecord, facts: CorpusFacts) -> dict[str, object]:
    languages = [code for code, _ in facts.languages.most_common() if code != UNKNOWN]
    return {
        "pretty_name": str(record.recipe["name"]),
        "language": languages[:100] or ["und"],
        "license": "other",
        "license_name": "of-the-pages",
        "task_categories": ["text-generation"],
        "size_categories": [next((name for most, name in _SIZES if facts.documents < most), "n>10M")],
        "configs": [{"config_name": "default", "data_files": [{"split": "train", "path": "data/train-*.parquet"}]}],
        "dataset_info": {"splits": [{"name": "train", "num_examples": facts.documents, "num_bytes": facts.text_bytes}]},
    }


def _own_code(recipe: Mapping[str, Any]) -> str:
    """Return which code of its maker's own decided on documents, without its place on their disk."""
    filtering = recipe["filter"]
    named = (recipe["extract"]["extractor"], *filtering.get("rules", ()), *recipe.get("stages", ()))
    names = [escaped(f"{Path(code_place(name)).name}:{code_name(name)}") for name in named if is_code(name)]
    return f" Code of its maker's own took part: {', '.join(names)}." if names else ""


def _text(record: RunRecord, manifest: Manifest, facts: CorpusFacts) -> str:
    recipe = record.recipe
    columns = "\n".join(f"| `{name}` | {_COLUMNS[name]} |" for name in DOCUMENTS.names)
    fetched = f", fetched {facts.first_date} to {facts.last_date}" if facts.first_date else ""
    declared, opted = sum(facts.licenses.values()), sum(facts.opt_outs.values())
    return f"""# {recipe["name"]}

{facts.documents:,} documents of {len(facts.domains):,} domains with {facts.text_bytes:,} bytes of text, from
{record.crawl}{fetched}. Made by Sluice {record.versions.get("sluice", "")}: extracted, filtered
(profiles {_listed(recipe["filter"]["profiles"], "none")}; languages {_listed(recipe["filter"]["languages"], "all")}),
and without exact and near duplicates.{_own_code(recipe)}

| column | |
|---|---|
{columns}

## Languages

{_table(facts.languages, "language", "documents")}

## Domains

{_table(facts.domains, "domain", "documents")}

## Licences and opt-outs

The texts belong to the pages' authors. {declared:,} documents name a licence on their page, unverified; the others name
none.

{_table(facts.licenses, "licence", "documents")}

{opted:,} directives for robots restrict the use of documents; those that the recipe heeds
({_listed(recipe["extract"]["drop_robots"], "none")}) are left out already.

{_table(facts.opt_outs, "directive", "documents")}

Digest of the corpus: `{manifest.digest}`.
"""


def _listed(names: Sequence[str], otherwise: str) -> str:
    return ", ".join(names) or otherwise


def _table(counts: Counter[str], what: str, of: str) -> str:
    if not counts:
        return "None."
    rest = f"\n\nand {len(counts) - _SHOWN:,} more." if len(counts) > _SHOWN else ""
    return counts_table(counts.most_common(_SHOWN), what, of) + rest
