"""The invented country: its places and the facts about them.

Notable: names are joined from syllables and common words are assigned by the seed, so the facts exist nowhere else, and
a model that knows one has read it here. Each value is used about equally often, so that a guess is right in at most one
case of sixteen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tasks.synthetic_web.texts.config import SyntheticWebConfig
from tasks.synthetic_web.texts.draws import Draws

RELATIONS = ("river", "founder", "dish", "animal", "trade", "colour")
"""The kinds of facts about each place, in the order of `Place.facts`."""


def _words(text: str) -> tuple[str, ...]:
    """Return the items of a list written as text: between commas where it has any, between spaces otherwise."""
    return tuple(text.split(", ") if "," in text else text.split())


_TOWN_STARTS = _words(
    "Vel Kar Tor Bren Osk Lum Dra Fen Mir Sal Gor Nar Pel Rus Tal Zan Hol Jur Kel Mor Bal Cor Dun Eld Fal Gil Har Ist "
    "Lor Nev"
)
_TOWN_ENDS = _words("mora gard lin vik dova sten rath nau bria tova zin quell hame polk")
_RIVER_STARTS = _words("Ta Ki Mo Le Du Ra Ve So Bi Na Pu Ze")
_RIVER_ENDS = _words("vra ssa zel mma lka nno bri sko")
_FOUNDER_STARTS = _words("Al Cas Dor Fro Gis Hal Ing Jas Kon Lud Mal Nor Per Rad Sig Ulf Wen Yor")
_FOUNDER_ENDS = _words("mar wena rik dis gund olda esk tia")

_DISHES = _words(
    "onion soup, plum cake, fish pie, bean stew, honey bread, goat cheese, apple tart, rice pudding, pear jam, "
    "nut cake, mushroom pie, cabbage soup, cherry tart, lamb stew, carrot cake, barley bread, pumpkin soup, "
    "egg pudding, duck pie, fig jam, potato bread, lentil stew, sheep cheese, lemon tart, leek soup, oat pudding, "
    "rabbit stew, berry jam, poppy cake, garlic bread"
)
_ANIMALS = _words(
    "fox heron otter badger owl stag bear goose hare swan falcon wolf beaver crane raven trout horse bull boar lynx "
    "toad snail mole squirrel hedgehog stork eagle salmon turtle rooster"
)
_TRADES = _words(
    "glass rope paper clocks bells boats lace candles barrels bricks knives violins hats shoes baskets carpets needles "
    "buttons wheels nets drums gloves mirrors tiles soap salt flutes saddles kites toys"
)
_COLOURS = _words("red blue green white black yellow orange purple brown grey pink gold silver violet crimson amber")


@dataclass(frozen=True)
class Fact:
    """One thing that is true of one place, e.g. the river of Velmora is the Tavra."""

    place: str
    relation: str
    """One of `RELATIONS`."""
    value: str
    """One or two words, as they stand in a sentence."""

    @property
    def id(self) -> str:
        """Its name in the truth and in the questions, e.g. `Velmora/river`."""
        return f"{self.place}/{self.relation}"


@dataclass(frozen=True)
class Place:
    """A town with its six facts, in the order of `RELATIONS`."""

    name: str
    facts: tuple[Fact, ...]

    def fact(self, relation: str) -> Fact:
        """Return the fact of one relation."""
        return self.facts[RELATIONS.index(relation)]


@dataclass(frozen=True)
class Country:
    """The invented country."""

    name: str
    towns: tuple[Place, ...]
    """Places on kept pages; the first is the capital."""
    hidden: tuple[Place, ...]
    """Places that are only on removed pages."""
    held_out: frozenset[str]
    """Ids of the facts about towns that no chat example asks for."""


def invent_country(config: SyntheticWebConfig) -> Country:
    """Return the country of a seed and size."""
    draws = Draws(config.seed, "country")
    names = draws.sample(_joined(_TOWN_STARTS, _TOWN_ENDS), config.towns + config.hidden_places)
    pools = {
        "river": draws.sample(_joined(_RIVER_STARTS, _RIVER_ENDS), 30),
        "founder": draws.sample(_joined(_FOUNDER_STARTS, _FOUNDER_ENDS), 30),
        "dish": _DISHES,
        "animal": _ANIMALS,
        "trade": _TRADES,
        "colour": _COLOURS,
    }
    values = {relation: _dealt(draws, pools[relation], len(names)) for relation in RELATIONS}
    places = [
        Place(name, tuple(Fact(name, relation, values[relation][i]) for relation in RELATIONS))
        for i, name in enumerate(names)
    ]
    towns = tuple(places[: config.towns])
    country_name = draws.choose(_TOWN_STARTS) + "andria"
    return Country(country_name, towns, tuple(places[config.towns :]), _held_out(towns, config.held_out_facts))


def _joined(starts: Sequence[str], ends: Sequence[str]) -> list[str]:
    return [start + end for start in starts for end in ends]


def _dealt(draws: Draws, pool: Sequence[str], n: int) -> list[str]:
    """Return `n` values, each of the pool used equally often or once more."""
    dealt: list[str] = []
    while len(dealt) < n:
        dealt += draws.shuffled(pool)
    return dealt[:n]


def _held_out(towns: Sequence[Place], n: int) -> frozenset[str]:
    """Return the ids of `n` facts, spread evenly over towns and relations, so that every town has facts to train on.

    The capital's river is the first, since the demo ends with it.
    """
    chosen: list[str] = []
    for layer in range(len(RELATIONS) - 1):
        for i, town in enumerate(towns):
            chosen.append(town.facts[(i + i // len(RELATIONS) + 2 * layer + layer // 3) % len(RELATIONS)].id)
    return frozenset(chosen[:n])
