"""Profiles: the published sets of filter rules, put together from the families of rules.

Notable:
- A family's file (`gopher_quality`, `c4`, ...) states side by side how its signals are measured, the types of their
  columns, and its rules with their published thresholds. A rule that is added to a family is in every profile that
  takes the family whole.
- A rule is strict or not exactly as its source is: where FineWeb drops "0.12 or less", a text at 0.12 is dropped, while
  one at Gopher's 0.30 of duplicate lines stays.
- `fineweb` decides as the pipeline did that made the FineWeb data set; `datatrove` as that library's 0.10 does today,
  which counts distinct stop words and takes other marks for the end of a line. They share all other rules.
- `fineweb2` has the rules of FineWeb2, where paragraphs, short lines and C4 have no part. Its thresholds here are those
  for English; FineWeb2 has its own for each language, which a recipe gives as `language_thresholds`.
- `structured` is our own, for Markdown: FineWeb's rules over the prose (see `structured`).
- `dclm` shares no signal with the others: it reads Gopher's rules its own way (see `dclm`).
- Ratios are 64-bit floats, so that a decision from a stored signal is the decision from the text.
"""

from collections.abc import Mapping
from typing import Final, Literal

import pyarrow as pa

from tasks.dataset.rules import Threshold
from tasks.filter.rules import c4, dclm, fineweb, gopher_quality, gopher_repetition, structured

ProfileName = Literal["gopher", "c4", "fineweb", "datatrove", "fineweb2", "dclm", "structured"]
Cleaning = Literal["c4", "dclm", "notices"]

SIGNALS: Final[Mapping[str, pa.DataType]] = (
    gopher_quality.SIGNALS
    | gopher_repetition.SIGNALS
    | c4.SIGNALS
    | fineweb.SIGNALS
    | fineweb.FINEWEB2_SIGNALS
    | dclm.SIGNALS
    | structured.SIGNALS
)
"""Every signal that `measure` gives, with the type of its Parquet column, in column order."""

_GOPHER_RULES = (
    *gopher_repetition.PARAGRAPH_RULES,
    *gopher_repetition.LINE_RULES,
    *gopher_repetition.NGRAM_RULES,
    *gopher_quality.RULES,
    gopher_quality.STOP_WORDS_RULE,
)

PROFILES: Final[Mapping[ProfileName, tuple[Threshold, ...]]] = {
    "gopher": _GOPHER_RULES,
    "c4": c4.RULES,
    "fineweb": (
        *gopher_repetition.PARAGRAPH_RULES,
        *gopher_repetition.ALL_LINE_RULES,
        *gopher_repetition.NGRAM_RULES,
        *gopher_quality.RULES,
        gopher_quality.STOP_WORD_OCCURRENCES_RULE,
        *c4.RULES,
        *fineweb.RULES,
    ),
    "datatrove": (*_GOPHER_RULES, *c4.RULES, *fineweb.DATATROVE_RULES),
    "fineweb2": (
        gopher_repetition.LINE_RULES[0],
        *gopher_repetition.NGRAM_RULES,
        *gopher_quality.RULES,
        gopher_quality.STOP_WORDS_RULE,
        *fineweb.FINEWEB2_RULES,
    ),
    "dclm": dclm.RULES,
    "structured": structured.RULES,
}
"""The rules of each profile, by its name."""

CLEANINGS_OF: Final[Mapping[ProfileName, Cleaning]] = {
    "c4": "c4",
    "fineweb": "c4",
    "datatrove": "c4",
    "dclm": "dclm",
    "structured": "notices",
}
"""Which profiles change the text of a document, and how: by C4's line cleaning, by DCLM's, or by our own."""
