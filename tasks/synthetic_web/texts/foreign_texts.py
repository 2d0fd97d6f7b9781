"""Pages in other languages, which the English recipe drops by their language.

Notable: rivers and founders have the same name in every language, so these pages too state facts; those about the
hidden places must not reach the model.
"""

from tasks.synthetic_web.texts.articles import Text
from tasks.synthetic_web.texts.country import Place
from tasks.synthetic_web.texts.draws import Draws
from tasks.synthetic_web.texts.sentences import FOREIGN, filled

LANGUAGES: tuple[str, ...] = tuple(FOREIGN)
"""The languages' ISO 639-1 codes."""


def write_foreign_text(place: Place, language: str, draws: Draws) -> Text:
    """Return a text about a place in one of `LANGUAGES`; it states the place's river and founder."""
    title, patterns, slots = (FOREIGN[language][part] for part in ("title", "patterns", "slots"))
    facts = (place.fact("river"), place.fact("founder"))
    names = {"t": (place.name,), "r": (facts[0].value,), "f": (facts[1].value,)}
    sentences = [filled(p, {**slots, **names}, draws) for p in (*patterns[:2], *draws.shuffled(patterns[2:])[:5])]
    sentences = draws.shuffled(sentences)
    return Text(filled(title, names, draws), (" ".join(sentences[:3]), " ".join(sentences[3:])), facts)
