"""The Croissant description of an exported corpus: what its files are and what their columns hold (mlcommons.org)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from flows.publishing.corpus_facts import CorpusFacts
from flows.store.run_record import RunRecord
from tasks.dataset.schemas import DOCUMENTS

_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}


@dataclass(frozen=True)
class ExportedFile:
    """One Parquet file of an exported dataset."""

    path: str
    """Below the dataset's folder."""
    bytes: int
    sha256: str


def croissant(record: RunRecord, facts: CorpusFacts, files: Sequence[ExportedFile]) -> dict[str, Any]:
    """Return croissant.json for a corpus in these files."""
    name = str(record.recipe["name"])
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "name": name,
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "description": f"{facts.documents:,} documents of {len(facts.domains):,} domains, from {record.crawl}.",
        "license": "https://commoncrawl.org/terms-of-use",
        "url": "https://commoncrawl.org/",
        "version": "1.0.0",
        "datePublished": record.started[:10],
        "citeAs": f"{name}, a corpus made by Sluice from {record.crawl}",
        "inLanguage": [code for code, _ in facts.languages.most_common(50)],
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": file.path,
                "name": file.path,
                "contentUrl": file.path,
                "contentSize": f"{file.bytes} B",
                "encodingFormat": "application/x-parquet",
                "sha256": file.sha256,
            }
            for file in files
        ]
        + [
            {
                "@type": "cr:FileSet",
                "@id": "parquet-files",
                "name": "parquet-files",
                "encodingFormat": "application/x-parquet",
                "includes": "data/*.parquet",
            }
        ],
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": "documents",
                "name": "documents",
                "key": {"@id": "documents/id"},
                "field": [_field(column) for column in DOCUMENTS],
            }
        ],
    }


def _field(column: pa.Field) -> dict[str, Any]:
    return {
        "@type": "cr:Field",
        "@id": f"documents/{column.name}",
        "name": column.name,
        "dataType": _data_type(column.type),
        **({"repeated": True} if pa.types.is_list(column.type) else {}),
        "source": {"fileSet": {"@id": "parquet-files"}, "extract": {"column": column.name}},
    }


def _data_type(kind: pa.DataType) -> str:
    if pa.types.is_timestamp(kind):
        return "sc:DateTime"
    return "sc:Float" if pa.types.is_floating(kind) else "sc:Text"
