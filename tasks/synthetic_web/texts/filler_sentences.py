"""English sentences that say nothing in particular, and the titles of articles.

Notable: each is a pattern whose slots are filled at random, a few hundred thousand sentences from about two hundred
words: pages differ, yet a small model wastes little of itself on them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from tasks.synthetic_web.texts.draws import Draws

SLOTS: dict[str, tuple[str, ...]] = {
    "time": (
        "In the morning", "In the evening", "On Sundays", "In winter", "In spring", "In autumn", "After the rain",
        "Before noon", "At night", "On market days",
    ),
    "people": (
        "the farmers", "the old men", "the students", "the travellers", "the neighbours", "the musicians",
        "the teachers", "the young people", "the bakers", "the visitors",
    ),
    "act": ("meet", "sing", "wait", "rest", "talk", "sit", "dance", "play", "work", "laugh"),
    "where": (
        "under the trees", "by the old wall", "near the well", "at the station", "in the narrow streets",
        "behind the church", "in the garden", "in front of the school", "on the long stairs", "along the harbour",
    ),
    "building": ("church", "library", "station", "school", "theatre", "museum", "harbour", "bridge", "inn", "hospital"),
    "quality": ("small", "quiet", "bright", "warm", "open", "old", "clean", "famous", "simple", "busy"),
    "season": ("spring", "summer", "autumn", "winter", "May", "June", "August", "October"),
    "weather": ("mild", "cold", "dry", "windy", "warm", "wet", "clear", "cool"),
    "often": ("every hour", "twice a day", "every morning", "every evening", "three times a week", "only on Mondays"),
    "far": ("one hour", "two hours", "half a day", "a whole day", "only a few minutes", "longer than you think"),
    "vehicle": ("bus", "train", "boat", "coach"),
    "friend": ("my sister", "my brother", "an old friend", "my uncle", "a neighbour", "my teacher"),
    "felt": ("happy", "tired", "hungry", "at home", "welcome", "surprised"),
}  # fmt: skip
"""What may stand in a slot."""

PATTERNS: tuple[str, ...] = (
    "{time} {people} {act} {where}.",
    "{time} {people} {act} {where} and {act} {where}.",
    "The {building} is {quality} and the {building} is {quality}.",
    "Next to the {building} you find the {quality} {building}.",
    "The weather is {weather} in {season} and {weather} in {season}.",
    "The {vehicle} leaves {often} and the way takes {far}.",
    "I came here with {friend} in {season} and felt {felt}.",
    "{time} I like to {act} {where} with {friend}.",
    "We took the {vehicle} from the {building}, and the way took {far}.",
    "The {building} opens {often} in {season}.",
)
"""Sentences without a fact."""

TITLES: tuple[str, ...] = (
    "A short visit to {t}",
    "What to know about {t}",
    "Notes on the town of {t}",
    "News from {t} this week",
    "A letter from {t}",
    "All about the town of {t}",
    "Three days in {t}",
    "The town of {t}",
    "A walk through {t}",
    "On the road to {t}",
    "A weekend in {t}",
    "Why people like {t}",
    "My memories of {t}",
    "Welcome to {t} and its people",
    "The story of {t}",
    "Good reasons to see {t}",
)
"""Titles of articles: at least three words, since shorter lines are dropped by C4's rules."""

_SLOT = re.compile(r"\{(\w+)\}")


def filled(pattern: str, slots: Mapping[str, Sequence[str]], draws: Draws) -> str:
    """Return the pattern with each slot filled by one of its choices; raises KeyError for a slot without choices."""
    return _SLOT.sub(lambda match: draws.choose(slots[match[1]]), pattern)


def filler(draws: Draws) -> str:
    """Return one English sentence without a fact."""
    return filled(draws.choose(PATTERNS), SLOTS, draws)
