"""The columns of every Parquet file that the data half writes.

Notable: a document's `id` is its address, `<WARC base name>:<record offset>`; it is unique across crawls, sorts by
place and says where the bytes are. Everything later is joined by it, never by position in a file.
"""

import pyarrow as pa

DOCUMENTS = pa.schema(
    [
        ("id", pa.string()),  # <WARC base name>:<record offset>
        ("url", pa.string()),
        ("host", pa.string()),
        ("domain", pa.string()),  # the registered one of the host, by the public suffix list
        ("crawl", pa.string()),  # e.g. CC-MAIN-2026-46
        ("date", pa.timestamp("s", tz="UTC")),  # when the page was fetched: WARC-Date
        ("language", pa.string()),  # ISO 639-1, or "un" where the identifier will not say
        ("language_score", pa.float32()),  # 0 to 1
        ("text", pa.string()),
        ("text_hash", pa.string()),  # xxh3-128 of the text in UTF-8, 32 hexadecimal digits
        ("kind", pa.string()),  # article, documentation, forum, ... (`kinds.PageKind`); null if not told
        ("method", pa.string()),  # what found the text: runs, balanced, ... (`main_text.MainText`)
        ("extraction_score", pa.float32()),  # expected F1 of the text's words, 0 to 1; null if not measured
        # What the page says about itself, unchecked; null where it says nothing.
        ("title", pa.string()),
        ("published", pa.string()),  # yyyy-mm-dd
        ("declared_language", pa.string()),  # ISO 639-1, three letters where it has none
        ("robots", pa.list_(pa.string())),  # what restricts use: noindex, noai, ... (`page_metadata.RobotsDirective`)
        ("license", pa.string()),  # address of a licence
        ("source_id", pa.string()),  # the id that the document had in the file it comes from; null for a page
    ]
)

SELECTION = pa.schema(
    [
        ("place", pa.int32()),  # of the WARC among those that the recipe asks for, from 0
        ("offset", pa.int64()),  # where the record begins in it, in bytes
        ("length", pa.int64()),  # bytes of the record as stored
    ]
)

WANTED = pa.schema(
    [
        ("path", pa.string()),  # of the WARC, below the source's base
        ("offsets", pa.list_(pa.int64())),  # where each selected record begins in it, in bytes, ascending
        ("lengths", pa.list_(pa.int64())),  # bytes of each as stored
    ]
)

WARCS = pa.schema(
    [
        ("name", pa.string()),  # base name, without .warc.gz
        ("path", pa.string()),  # below the source's base, as warc.paths lists it
        ("crawl", pa.string()),
        ("bytes", pa.int64()),
        ("digest", pa.string()),  # xxh3-128 of the bytes fetched
        ("clipped", pa.bool_()),  # whether only the first bytes of the file were asked for
    ]
)

DECISION_HEAD = [
    pa.field("id", pa.string()),
    pa.field("stage", pa.string()),
    pa.field("kept", pa.bool_()),
    pa.field("reasons", pa.list_(pa.string())),  # every rule failed, not only the first
]

SIGNATURES = pa.schema(
    [
        ("id", pa.string()),
        ("text_hash", pa.string()),
        ("n_chars", pa.int64()),
        ("bands", pa.list_(pa.uint64())),  # one key a band; null where the text is shorter than a shingle
        ("sketch", pa.binary()),  # the signature's low bytes, one a permutation; null likewise
    ]
)

PARTITIONED = pa.schema(
    [
        ("partition", pa.int32()),  # of the join; a row group has one only
        ("place", pa.int64()),  # part and row of the signatures (`tasks.dedup.edges.place_of`)
        ("text_hash", pa.string()),
        ("n_chars", pa.int64()),
        ("bands", pa.list_(pa.uint64())),  # those of this partition
        ("sketch", pa.binary()),
    ]
)

CANDIDATES = pa.schema([("left", pa.int64()), ("right", pa.int64())])  # places, the smaller one first

DUPLICATES = pa.schema(
    [
        ("id", pa.string()),
        ("kept", pa.bool_()),
        ("cluster", pa.string()),  # the id of the document kept for this cluster
        ("reason", pa.string()),  # exact_duplicate | near_duplicate; null for the one kept
        ("size", pa.int64()),  # documents of the cluster, for the one kept; null for the others
    ]
)

CLUSTERS = pa.schema([("place", pa.int64()), *DUPLICATES])

SEGMENT = pa.struct([("part", pa.int32()), ("row", pa.int32()), ("start", pa.int32()), ("length", pa.int32())])
PACKING = pa.schema([("sequence", pa.int64()), ("segments", pa.list_(SEGMENT))])


def tokens_schema(vocab_size: int) -> pa.Schema:
    """Return the columns of the token parts: uint16 ids where the vocabulary allows it, uint32 above."""
    token = pa.uint16() if vocab_size <= 1 << 16 else pa.uint32()
    return pa.schema(
        [
            ("id", pa.string()),
            ("tokens", pa.list_(token)),
            ("n_tokens", pa.int32()),  # so that lengths are read without the tokens
            ("n_bytes", pa.int32()),  # of the text in UTF-8
            ("split", pa.string()),  # train | validation
        ]
    )


def decisions_schema(signals: list[pa.Field]) -> pa.Schema:
    """Return the columns of a stage's decisions: the common head, then the stage's own signals."""
    return pa.schema([*DECISION_HEAD, *signals])
