"""Measure a document once, judge it by every rule: the filter stage's arithmetic.

Notable:
- `measure` always gives all signals of `SIGNALS`, whichever profile is chosen, so that a crawl can be judged again
  under another profile without its text.
- `judge` sees stored signals only and names *every* rule that failed; no rule hides another.
- C4's cleaning is measured in every case, because FineWeb's signals stand on the text it leaves; whether the document
  goes on with that text is the config's `clean_lines`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Self

from pydantic import Field, model_validator

from tasks.config import Config
from tasks.filters.c4 import clean_lines
from tasks.filters.fineweb import measure_fineweb
from tasks.filters.gopher_quality import measure_quality
from tasks.filters.gopher_repetition import measure_repetition
from tasks.filters.profiles import PROFILES, SIGNALS, ProfileName, Rule
from tasks.filters.text_units import TextUnits

# Scores are stored as 32-bit floats; a score at the minimum must pass before and after.
_SCORE_TOLERANCE = 1e-6


class FilterConfig(Config):
    """Which documents are kept."""

    profiles: tuple[ProfileName, ...] = ("fineweb",)
    """Sets of rules a document must pass: gopher, c4, fineweb (which has both), datatrove; with none, any passes."""
    languages: tuple[str, ...] = ("en",)
    """Languages to keep, as ISO 639-1 codes; none keeps every language."""
    min_language_score: float = Field(default=0.65, ge=0, le=1)
    """Least share of the text that must be in its language, from 0 to 1; with no languages named it still holds."""
    thresholds: dict[str, float] = Field(default_factory=dict)
    """Other thresholds for rules of the chosen profiles, by rule name, in the unit of the rule's signal."""
    clean_lines: bool = True
    """Whether a kept document goes on with the text that C4's line cleaning leaves, where a profile has C4's rules."""

    @model_validator(mode="after")
    def _thresholds_name_rules(self) -> Self:
        names = [rule.name for rule in chosen_rules(self)]
        for name in self.thresholds:
            if name not in names:
                raise ValueError(_unknown_rule(name, names, self.profiles))
        return self


@dataclass(frozen=True, slots=True)
class Measured:
    """What measuring a text gives."""

    text_after: str
    """The text that goes on: cleaned of lines where the config says so."""
    signals: dict[str, float]
    """All of `SIGNALS`, in that order."""


@dataclass(frozen=True, slots=True)
class Filtered:
    """One document's verdict."""

    reasons: list[str]
    """Every rule it failed, in the order of the rules; none means kept."""
    text: str
    """The text that goes on if it is kept."""
    signals: dict[str, float]
    """All of `SIGNALS`, in that order."""

    @property
    def kept(self) -> bool:
        """Whether no rule failed."""
        return not self.reasons


def chosen_rules(config: FilterConfig) -> tuple[Rule, ...]:
    """The rules of all chosen profiles, each once, in profile order, with their published thresholds."""
    return tuple(dict.fromkeys(rule for profile in config.profiles for rule in PROFILES[profile]))


def measure(text: str, config: FilterConfig) -> Measured:
    """All signals of `text`, and the text that goes on. About 1 ms for 600 words."""
    units = TextUnits(text)
    cleaned = clean_lines(units)
    signals = {
        **measure_quality(units),
        **measure_repetition(units),
        **cleaned.signals,
        **measure_fineweb(cleaned),
    }
    return Measured(cleaned.text if _cleans_lines(config) else text, {name: signals[name] for name in SIGNALS})


def judge(signals: Mapping[str, float], language: str, score: float, config: FilterConfig) -> list[str]:
    """The names of all rules that fail: `language` and `language_score` first, then those of the profiles.

    `signals` may come from `measure` or from the decision columns; other keys in it are ignored.
    """
    reasons = []
    if config.languages and language not in config.languages:
        reasons.append("language")
    if score < config.min_language_score - _SCORE_TOLERANCE:
        reasons.append("language_score")
    reasons += [rule.name for rule in chosen_rules(config) if rule.fails(signals, config.thresholds.get(rule.name))]
    return reasons


def filter_document(text: str, language: str, score: float, config: FilterConfig) -> Filtered:
    """Measure and judge one document of which the language is known."""
    measured = measure(text, config)
    return Filtered(judge(measured.signals, language, score, config), measured.text_after, measured.signals)


def _cleans_lines(config: FilterConfig) -> bool:
    return config.clean_lines and any(rule.name.startswith("c4_") for rule in chosen_rules(config))


def _unknown_rule(name: str, names: list[str], profiles: tuple[str, ...]) -> str:
    chosen = ", ".join(profiles) or "none"
    nearest = get_close_matches(name, names, n=1, cutoff=0.0)
    hint = f'; the nearest name is "{nearest[0]}"' if nearest else ""
    return f'thresholds: "{name}" is no rule of the chosen profiles ({chosen}){hint}'
