"""What a recipe says of the filter, and the rules that it makes of it.

Notable: `filter_rules` is the only place where a recipe's thresholds, general ones and those for a language, take the
place of the published ones.
"""

from collections.abc import Callable
from dataclasses import replace
from difflib import get_close_matches
from typing import Self

from pydantic import Field, model_validator

from tasks.base.config import Config
from tasks.base.language_codes import LanguageCode
from tasks.dataset.data_files import DataFile
from tasks.dataset.rules import OneOf, Rule, Threshold
from tasks.filter.own_rules import own_rules
from tasks.filter.profiles import PROFILES, ProfileName
from tasks.filter.stop_word_lists import BUILTIN_STOP_WORDS
from tasks.own_code.named_code import OwnCode

SCORE_TOLERANCE = 1e-6
"""Scores are stored as 32-bit floats; one at the minimum must pass before and after."""

RULE_FIELDS = (
    "profiles",
    "languages",
    "min_language_score",
    "thresholds",
    "language_thresholds",
    "clean_lines",
    "rules",
)
"""Fields of `FilterConfig` that change decisions, or the text that goes on, but nothing that is measured."""


class FilterConfig(Config):
    """Which documents are kept."""

    profiles: tuple[ProfileName, ...] = ("fineweb",)
    """Sets of rules a document must pass: gopher, c4, fineweb (which has both), datatrove, fineweb2, dclm, and
    structured, which is fineweb over the prose and the default where `extract.format` is markdown; with none, any
    passes."""
    languages: tuple[LanguageCode, ...] = ("en",)
    """Languages to keep, as ISO 639-1 codes; none keeps every language."""
    min_language_score: float = Field(default=0.65, ge=0, le=1)
    """Least share of the text that must be in its language, from 0 to 1; it holds even where no language is named."""
    thresholds: dict[str, float] = Field(default_factory=dict)
    """Other thresholds for rules of the chosen profiles, by rule name, in the unit of the rule's signal."""
    language_thresholds: dict[LanguageCode, dict[str, float]] = Field(default_factory=dict)
    """Thresholds for documents in one language, by ISO 639-1 code, in place of those that hold for all."""
    stop_words: DataFile = BUILTIN_STOP_WORDS
    """YAML file of each language's stop words; a language that it lacks is held to the English ones."""
    clean_lines: bool = True
    """Whether a kept document goes on with the text that its profile's line cleaning leaves: C4's, where a profile has
    C4's rules, DCLM's, or that of structured. With several, the second cleans what the first
    leaves, in the order of the profiles."""

    rules: tuple[OwnCode, ...] = ()
    """Rules of your own: FILE.py:NAME or MODULE:NAME, a path relative to the recipe's file; see docs/extending.md."""
    signals: tuple[OwnCode, ...] = ()
    """Signals of your own to write rules over, named likewise."""

    @model_validator(mode="after")
    def _thresholds_name_rules(self) -> Self:
        names = [rule.name for rule in published_rules(self.profiles)]
        of_languages = {f"language_thresholds.{language}": of for language, of in self.language_thresholds.items()}
        for field, thresholds in {"thresholds": self.thresholds, **of_languages}.items():
            for name in thresholds:
                if name not in names and not self.rules:  # one of the user's own may be meant, which is not run here
                    raise ValueError(_unknown_rule(field, name, names, self.profiles))
        return self


def published_rules(profiles: tuple[ProfileName, ...]) -> tuple[Threshold, ...]:
    """Return the rules of all `profiles`, each once, in profile order, with their published thresholds."""
    return tuple(dict.fromkeys(rule for profile in profiles for rule in PROFILES[profile]))


def filter_rules(config: FilterConfig, own: Callable[[FilterConfig], tuple[Rule, ...]] = own_rules) -> tuple[Rule, ...]:
    """Return all rules under `config` in the order of the reasons: `language`, `language_score`, profiles', one's own.

    `own` makes the rules that are named by code.
    """
    languages = (OneOf("language", "language", config.languages),) if config.languages else ()
    score = Threshold("language_score", "language_score", "<", config.min_language_score - SCORE_TOLERANCE)
    chosen = (*published_rules(config.profiles), *own(config))
    return (*languages, score, *(_with_limits(rule, config) for rule in chosen))


def _with_limits(rule: Rule, config: FilterConfig) -> Rule:
    if not isinstance(rule, Threshold):
        return rule
    limit = config.thresholds.get(rule.name, rule.limit)
    by_language = (
        (language, given[rule.name])
        for language, given in sorted(config.language_thresholds.items())
        if given.get(rule.name, limit) != limit
    )
    return replace(rule, limit=limit, language_limits=tuple(by_language))


def _unknown_rule(field: str, name: str, names: list[str], profiles: tuple[str, ...]) -> str:
    chosen = ", ".join(profiles) or "none"
    nearest = get_close_matches(name, names, n=1, cutoff=0.0)
    hint = f'; the nearest name is "{nearest[0]}"' if nearest else ""
    return f'{field}: "{name}" is no rule of the chosen profiles ({chosen}){hint}'
