"""Writes filter_vectors.json: for each rule, texts just below, at and just above its threshold, with all their signals.

Run as `python tests/golden/make_filter_vectors.py` from the repository's root, and only when a rule's meaning changes on
purpose: the file is what shows that it did not change by accident.

Notable: a text is kept as [[string, repetitions], ...]. For each rule a family of texts grows by one parameter; frozen
are its members next to where the verdict changes.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from tasks.filters.filtering import FilterConfig, judge, measure
from tasks.filters.profiles import PROFILES, Rule

Parts = list[tuple[str, int]]

LINES = (
    "The harbour of Tolvane lies where the river Esk meets the grey water of the northern sound.",
    "Its oldest quay was built by a guild of salt merchants, and it still carries their mark.",
    "Every spring the boats come back with herring, and the whole town gathers to count them.",
    "Visitors who arrive by train should walk along the wall to see the seven painted towers.",
    "A bell rings at noon; nobody remembers why, but the children stop whatever they play with.",
    "In winter the ice can be thick enough to carry carts, horses and a small travelling market.",
    "The museum keeps a map that shows how far the old forest once reached into the valley.",
    "Bread is baked with caraway here, which the bakers say they have learned from the hill people.",
    "Two ferries cross the sound each day, and both of them are painted in the same dark green.",
    "Nothing in the archive explains who drew the plan of the lower town or when it was made.",
)
PAGE = "\n".join(LINES)
PLAIN = "Grey ferries cross northern waters daily while bakers sell caraway bread near old painted towers. " * 1
WORDS = PAGE.replace("\n", " ").split(" ")
SHORT = tuple(f"{word} {count} boats" for count, word in enumerate(("Red", "Blue", "Green", "White") * 40, 100))


def _lines(*groups: tuple[tuple[str, ...], int, str]) -> Callable[[int], Parts]:
    raise NotImplementedError
