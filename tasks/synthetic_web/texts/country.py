"""The invented country: its places and the facts about them.

Notable: names are joined from syllables and common words are assigned by the seed, so the facts exist nowhere else, and
a model that knows one has read it here. Each value is used about equally often, so that a guess is right in at most one
case of sixteen.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tasks.synthetic_web.data import read_data
from tasks.synthetic_web.texts.config import SyntheticWebConfig
from tasks.synthetic_web.texts.draws import Draws

RELATIONS = ("river", "founder", "dish", "animal", "trade", "colour")
"""The kinds of facts about each place, in the order of `Place.facts`."""


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
    words, draws = read_data("country"), Draws(config.seed, "country")
    names = draws.sample(_joined(words["town"]), config.towns + config.hidden_places)
    pools = {relation: words[relation] for relation in RELATIONS}
    for named in ("river", "founder"):
        pools[named] = draws.sample(_joined(words[named]), 30)
    values = {relation: _dealt(draws, pools[relation], len(names)) for relation in RELATIONS}
    places = [
        Place(name, tuple(Fact(name, relation, values[relation][i]) for relation in RELATIONS))
        for i, name in enumerate(names)
    ]
    towns = tuple(places[: config.towns])
    country_name = draws.choose(words["town"]["starts"]) + "andria"
    return Country(country_name, towns, tuple(places[config.towns :]), _held_out(towns, config.held_out_facts))


def _joined(parts: Mapping[str, Sequence[str]]) -> list[str]:
    return [start + end for start in parts["starts"] for end in parts["ends"]]


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
