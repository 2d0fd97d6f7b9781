"""The configuration of the synthetic web: its seed, its size and its crawl's name.

Notable: the counts are of response records. Articles are `towns * pages_per_town` and the capital's extra pages;
all else is what a crawl has beside the pages worth keeping.
"""

from datetime import datetime
from typing import Self

from pydantic import Field, model_validator

from tasks.base.config import Config

VERSION = 2
"""Of the generator; raised when the same configuration gives other bytes than before."""


class SyntheticWebConfig(Config):
    """The synthetic web of the offline demo. The same values give the same bytes on every machine."""

    seed: int = 1
    """Seed of every draw; a whole number."""
    crawl: str = Field(default="CC-MAIN-2026-45", pattern=r"^CC-MAIN-20\d\d-(0[1-9]|[1-4]\d|5[0-3])$")
    """The crawl's name: year and ISO week of its start."""
    warcs: int = Field(default=4, ge=1, le=64)
    """WARC files to spread the records over."""
    towns: int = Field(default=60, ge=2, le=120)
    """Towns with facts worth learning; each has six facts."""
    pages_per_town: int = Field(default=60, ge=1, le=150)
    """English articles about each town; the pipeline should keep all of them."""
    capital_extra_pages: int = Field(default=40, ge=0, le=100)
    """More articles about the first town, the capital, whose facts a trained model knows best."""
    held_out_facts: int = Field(default=100, ge=1)
    """Facts that the chat data never asks for; they become the questions of the evaluation."""
    hidden_places: int = Field(default=5, ge=0, le=12)
    """Places whose facts (six each) are only on pages that the pipeline should remove."""
    mirrors: int = Field(default=180, ge=0)
    """Articles repeated word for word at another address."""
    near_duplicates: int = Field(default=180, ge=0)
    """Articles repeated at another address with a few words changed."""
    foreign_pages: int = Field(default=280, ge=0)
    """Pages in eight other languages."""
    poor_pages: int = Field(default=360, ge=0)
    """English pages that a quality rule should remove: spam, stubs, link lists, filler text, code, numbers."""
    broken_responses: int = Field(default=380, ge=0)
    """Responses without a readable page: redirects, errors, other media types, empty and truncated bodies."""

    @property
    def start(self) -> datetime:
        """When the crawl began: its week's Monday at midnight, without a time zone (UTC is meant)."""
        return datetime.fromisocalendar(int(self.crawl[8:12]), int(self.crawl[13:15]), 1)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        try:
            _ = self.start
        except ValueError as error:
            raise ValueError(f"crawl: {self.crawl} names a week that its year does not have") from error
        most = 5 * self.towns
        if self.held_out_facts > most:
            raise ValueError(f"held_out_facts: at most five of each town's six facts, here {most}")
        return self
