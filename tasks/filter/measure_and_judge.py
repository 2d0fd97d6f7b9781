"""Measure a document once, judge it by every rule: the filter stage's arithmetic.

Notable:
- `measure` always gives all signals of `SIGNALS`, whichever profile is chosen, so that a crawl can be judged again
  under another profile without its text.
- `judge` sees stored signals only and names *every* rule that failed; no rule hides another.
- Both cleanings, C4's and DCLM's, are made in every case, since signals stand on what they leave; whether the document
  goes on with such a text is the config's `clean_lines`.
- Two things depend on the document's language: which stop words are counted, and thresholds that are given for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Self

from pydantic import Field, model_validator

from tasks.base.config import Config
from tasks.base.language_codes import LanguageCode
from tasks.dataset.data_files import DataFile
from tasks.filter.c4 import clean_lines
from tasks.filter.dclm import measure_dclm
from tasks.filter.dclm_lines import remove_lines, strip_addresses
from tasks.filter.fineweb import measure_fineweb, measure_fineweb2
from tasks.filter.gopher_quality import measure_quality
from tasks.filter.gopher_repetition import measure_repetition
from tasks.filter.profiles import CLEANINGS_OF, PROFILES, SIGNALS, Cleaning, ProfileName, Rule
from tasks.filter.stop_words import BUILTIN_STOP_WORDS, StopWords, builtin_stop_words
from tasks.filter.text_units import TextUnits

# Scores are stored as 32-bit floats; a score at the minimum must pass before and after.
SCORE_TOLERANCE = 1e-6


class FilterConfig(Config):
    """Which documents are kept."""

    profiles: tuple[ProfileName, ...] = ("fineweb",)
    """Sets of rules a document must pass: gopher, c4, fineweb (which has both), datatrove, fineweb2, dclm; with none,
    any passes."""
    languages: tuple[LanguageCode, ...] = ("en",)
    """Languages to keep, as ISO 639-1 codes; none keeps every language."""
    min_language_score: float = Field(default=0.65, ge=0, le=1)
    """Least share of the text that must be in its language, from 0 to 1; with no languages named it still holds."""
    thresholds: dict[str, float] = Field(default_factory=dict)
    """Other thresholds for rules of the chosen profiles, by rule name, in the unit of the rule's signal."""
    language_thresholds: dict[LanguageCode, dict[str, float]] = Field(default_factory=dict)
    """Thresholds for documents in one language, by ISO 639-1 code, in place of those that hold for all."""
    stop_words: DataFile = BUILTIN_STOP_WORDS
    """YAML file of each language's stop words; a language that it does not have is held to English ones."""
    clean_lines: bool = True
    """Whether a kept document goes on with the text that its profile's line cleaning leaves: C4's, where a profile has
    C4's rules, or DCLM's. With both, the second cleans what the first leaves, in the order of the profiles."""

    @model_validator(mode="after")
    def _thresholds_name_rules(self) -> Self:
        names = [rule.name for rule in chosen_rules(self)]
        for field, thresholds in (
            ("thresholds", self.thresholds),
            *((f"language_thresholds.{language}", given) for language, given in self.language_thresholds.items()),
        ):
            for name in thresholds:
                if name not in names:
                    raise ValueError(_unknown_rule(field, name, names, self.profiles))
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


def threshold_of(rule: Rule, language: str, config: FilterConfig) -> float:
    """What `rule` holds a document in `language` to."""
    general = config.thresholds.get(rule.name, rule.threshold)
    return config.language_thresholds.get(language, {}).get(rule.name, general)


def measure(text: str, language: str, config: FilterConfig, stop_words: StopWords | None = None) -> Measured:
    """All signals of `text`, and the text that goes on. About 1 ms for 600 words.

    Without `stop_words`, those that come with Sluice are counted, whatever the config says.
    """
    units = TextUnits(text)
    cleaned = clean_lines(units)
    dclm = measure_dclm(units)
    signals = {
        **measure_quality(units, (stop_words or builtin_stop_words()).of(language)),
        **measure_repetition(units),
        **cleaned.signals,
        **measure_fineweb(cleaned),
        **measure_fineweb2(units),
        **dclm.signals,
    }
    text_after = _text_after(text, {"c4": cleaned.text, "dclm": dclm.text}, config)
    return Measured(text_after, {name: signals[name] for name in SIGNALS})


def judge(signals: Mapping[str, float], language: str, score: float, config: FilterConfig) -> list[str]:
    """The names of all rules that fail: `language` and `language_score` first, then those of the profiles.

    `signals` may come from `measure` or from the decision columns; other keys in it are ignored.
    """
    reasons = []
    if config.languages and language not in config.languages:
        reasons.append("language")
    if score < config.min_language_score - SCORE_TOLERANCE:
        reasons.append("language_score")
    reasons += [rule.name for rule in chosen_rules(config) if rule.fails(signals, threshold_of(rule, language, config))]
    return reasons


def filter_document(
    text: str, language: str, score: float, config: FilterConfig, stop_words: StopWords | None = None
) -> Filtered:
    """Measure and judge one document of which the language is known."""
    measured = measure(text, language, config, stop_words)
    return Filtered(judge(measured.signals, language, score, config), measured.text_after, measured.signals)


def cleanings(config: FilterConfig) -> tuple[Cleaning, ...]:
    """What is done to the text of a kept document, in order."""
    if not config.clean_lines:
        return ()
    return tuple(dict.fromkeys(CLEANINGS_OF[profile] for profile in config.profiles if profile in CLEANINGS_OF))


def _text_after(text: str, cleaned: Mapping[Cleaning, str], config: FilterConfig) -> str:
    """`text` as it goes on; `cleaned` has what each cleaning makes of `text` itself."""
    for order, cleaning in enumerate(cleanings(config)):
        text = _clean(text, cleaning) if order else cleaned[cleaning]
    return text


def _clean(text: str, cleaning: Cleaning) -> str:
    if cleaning == "c4":
        return clean_lines(TextUnits(text)).text
    return remove_lines(TextUnits(strip_addresses(text))).text


def _unknown_rule(field: str, name: str, names: list[str], profiles: tuple[str, ...]) -> str:
    chosen = ", ".join(profiles) or "none"
    nearest = get_close_matches(name, names, n=1, cutoff=0.0)
    hint = f'; the nearest name is "{nearest[0]}"' if nearest else ""
    return f'{field}: "{name}" is no rule of the chosen profiles ({chosen}){hint}'
