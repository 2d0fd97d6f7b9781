"""The rules of the extract stage that can be applied again to what it stored of each page.

Notable: what this stage decides otherwise, such as that a page has no text, no rule here says again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from tasks.dataset.rules import Bools, Rule, Threshold, is_one_of, limit_in_32_bits, stored_reasons
from tasks.extract.config import ExtractionConfig

RULE_FIELDS = ("urls.min_soft_words", "guess_languages", "drop_robots", "min_score", "drop_kinds")
"""Fields of `ExtractionConfig` that `extract_rules` reads."""


def extract_rules(config: ExtractionConfig) -> tuple[Rule, ...]:
    """Return what the extract stage decides by signals of a page."""
    soft_words = Threshold("url_soft_words", "url_soft_words", ">=", config.urls.min_soft_words)
    score = Threshold("extraction_score", "extraction_score", "<", limit_in_32_bits(config.min_score))
    return (
        soft_words,
        GuessedLanguage(config.guess_languages or ()),
        AsksOfRobots(config.drop_robots),
        score,
        IsOfKind(config.drop_kinds),
    )


@dataclass(frozen=True)
class GuessedLanguage:
    """Fails a page that was dropped for its guessed language, unless most of it seems to be in one of `wanted`.

    A narrower choice does not fail a page that was read: what language it is in is then known better.
    """

    wanted: tuple[str, ...]
    """ISO 639-1 codes; none: no page is dropped."""

    name = "language_guess"
    columns = ("reasons", "guessed_language")

    def failing(self, table: pa.Table) -> Bools:
        """Return which pages fail."""
        none = np.zeros(table.num_rows, np.bool_)
        if not self.wanted:
            return none
        dropped = stored_reasons(table["reasons"]).get(self.name, none)
        return dropped & ~is_one_of(table["guessed_language"], self.wanted)

    def explain(self, row: Mapping[str, Any]) -> str:
        """Return e.g. `language_guess: mostly de, none of en`."""
        return f"{self.name}: mostly {row['guessed_language']}, none of {', '.join(self.wanted)}"


@dataclass(frozen=True)
class AsksOfRobots:
    """Fails a page that asks for one of these directives; a page that was dropped before it was asked does not fail."""

    directives: tuple[str, ...]

    name = "robots"
    columns = ("robots",)

    def failing(self, table: pa.Table) -> Bools:
        """Return which pages fail."""
        asked = stored_reasons(table["robots"])
        return np.any([np.zeros(table.num_rows, np.bool_), *(asked[d] for d in self.directives if d in asked)], 0)

    def explain(self, row: Mapping[str, Any]) -> str:
        """Return e.g. `robots: asks for noai`."""
        return f"{self.name}: asks for {', '.join(d for d in row['robots'] or () if d in self.directives)}"


@dataclass(frozen=True)
class IsOfKind:
    """Fails a page of one of these kinds; a page whose kind was not told does not fail."""

    kinds: tuple[str, ...]
    """Of `PAGE_KINDS`."""

    name = "page_kind"
    columns = ("kind",)

    def failing(self, table: pa.Table) -> Bools:
        """Return which pages fail."""
        return is_one_of(table["kind"], self.kinds)

    def explain(self, row: Mapping[str, Any]) -> str:
        """Return e.g. `page_kind: listing`."""
        return f"{self.name}: {row['kind']}"
