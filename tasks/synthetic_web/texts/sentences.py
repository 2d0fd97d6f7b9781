"""The sentences of the synthetic web's pages, read from the list that comes with Sluice.

Notable: a model recalls a fact that it has read in many forms and orders, but hardly one that it has read in one form
(Allen-Zhu and Li, "Physics of Language Models: Part 3.1", section 4); hence fourteen forms for each relation. Filler
sentences have slots that are filled at random, a few hundred thousand sentences of about two hundred words: pages
differ, yet a small model wastes little of itself on them.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from tasks.synthetic_web.data import read_data
from tasks.synthetic_web.texts.country import Fact
from tasks.synthetic_web.texts.draws import Draws

_TEXTS = read_data("texts")
STATEMENTS: dict[str, list[str]] = _TEXTS["statements"]
"""Sentences that state a fact, for each relation."""
QUESTIONS: dict[str, list[str]] = _TEXTS["questions"]
"""What a chat asks, for each relation; the same forms serve facts that finetuning saw and facts it did not."""
TITLES: list[str] = _TEXTS["titles"]
"""Titles of articles: at least three words, since shorter lines are dropped by C4's rules."""
ACCENTED: list[str] = _TEXTS["accented"]
"""Sentences with letters and quotes beyond ASCII, so that a wrongly decoded page shows."""
NOTICES: list[str] = _TEXTS["notices"]
"""What sites say about themselves."""
FOREIGN: dict[str, dict[str, Any]] = _TEXTS["foreign"]
"""By ISO 639-1 code of a language: `title`, `patterns` and `slots` of its pages."""

# One of the statements, since a small model best recalls what it has read word for word.
_ANSWERS: dict[str, str] = _TEXTS["answers"]
_SLOT = re.compile(r"\{(\w+)\}")


def state(fact: Fact, form: int) -> str:
    """Return the fact as a sentence, in one of its forms."""
    return STATEMENTS[fact.relation][form].format(t=fact.place, v=fact.value)


def ask(fact: Fact, form: int) -> str:
    """Return the fact as a question, in one of its forms."""
    return QUESTIONS[fact.relation][form].format(t=fact.place)


def answer(fact: Fact) -> str:
    """Return the fact as the reply to a question."""
    return _ANSWERS[fact.relation].format(t=fact.place, v=fact.value)


def filled(pattern: str, slots: Mapping[str, Sequence[str]], draws: Draws) -> str:
    """Return the pattern with each slot filled by one of its choices; raises KeyError for a slot without choices."""
    return _SLOT.sub(lambda match: draws.choose(slots[match[1]]), pattern)


def filler(draws: Draws) -> str:
    """Return one English sentence without a fact."""
    return filled(draws.choose(_TEXTS["filler"]["patterns"]), _TEXTS["filler"]["slots"], draws)
