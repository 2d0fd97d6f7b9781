"""What would change, as plain values: each stage before and after, and what the numbers leave open."""

from flows.store.why import Change
from flows.what_if.samples import Sample
from tasks.base.config import Config


class Estimate(Config):
    """A number of documents, some of them never measured; exact where all three are equal."""

    least: int
    likely: int
    most: int


class RuleChange(Config):
    """One rule."""

    rule: str
    limit_before: float | None
    """The threshold it had; None where it was no rule of the run, or is no threshold."""
    limit_after: float | None
    failed_before: int
    failed_after: int
    """Of the documents with a decision that would still reach the stage."""


class LanguageChange(Config):
    """The documents of one language."""

    language: str
    kept_before: int
    kept_after: int
    newly_kept: int
    newly_dropped: int


class DomainChange(Config):
    """The documents of one domain that change sides."""

    domain: str
    newly_kept: int
    newly_dropped: int


class StageChange(Config):
    """One stage, before and after."""

    stage: str
    read_before: int
    read_after: Estimate
    kept_before: int
    kept_after: Estimate
    newly_kept: int
    """Documents that the stage removed, and would keep."""
    newly_dropped: int
    """Documents that the stage kept, and would remove."""
    rules: list[RuleChange]
    """Every rule that a document failed or would fail, the most frequent first."""
    languages: list[LanguageChange]
    """Most changed first, then most kept."""
    domains: list[DomainChange]
    """Those with the most documents that change sides."""
    samples: dict[str, list[Sample]]
    """Some documents that change sides, drawn at random, under `newly_kept` and `newly_dropped`."""

    @property
    def changes(self) -> bool:
        """Return whether any document would change sides here."""
        return bool(self.newly_kept or self.newly_dropped)


class WhatIf(Config):
    """A run's decisions under a recipe."""

    run: str
    crawl: str
    parts: int
    parts_expected: int | None
    """Parts of the whole crawl; more than `parts` where the run has not finished."""
    decisions: int
    """Decisions made again, of all stages."""
    seconds: float
    changes: list[Change]
    """Fields that rules read, and their values in the run and in the recipe."""
    needs_run: list[Change]
    """Fields that differ too, but decide what is fetched, extracted or measured: they are as the run had them."""
    stages: list[StageChange]
    notes: list[str]
    """What could not be decided on, and what is an estimate."""
