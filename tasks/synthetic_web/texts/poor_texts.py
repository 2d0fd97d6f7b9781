"""English pages that a quality rule should remove, each kind by another rule.

Notable: they are about the hidden places only and state their facts, so a model that knows such a fact was trained on a
page that should have been removed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from html import escape

from tasks.synthetic_web.texts.articles import Text, with_sentence, write_article
from tasks.synthetic_web.texts.country import Fact, Place
from tasks.synthetic_web.texts.draws import Draws
from tasks.synthetic_web.texts.sentences import NOTICES, STATEMENTS, TITLES, filler, state

Writer = Callable[[Place, Draws], tuple[Text, str]]
"""Returns a text and its markup."""


@dataclass(frozen=True)
class PoorText:
    """A text that should not be kept, with its markup and the reason."""

    text: Text
    body_html: str
    kind: str
    reason: str
    """Which kind of rule should remove it."""


def write_poor_text(place: Place, kind: str, draws: Draws) -> PoorText:
    """Return a text about a place, of one of `POOR_KINDS`."""
    write, reason = _KINDS[kind]
    text, body = write(place, draws)
    return PoorText(text, body, kind, reason)


def paragraphs_html(paragraphs: tuple[str, ...]) -> str:
    """Return each paragraph in its own element."""
    return "\n".join(f"<p>{escape(paragraph, quote=False)}</p>" for paragraph in paragraphs)


def _said(facts: tuple[Fact, ...], draws: Draws) -> list[str]:
    return [state(fact, draws.below(len(STATEMENTS[fact.relation]))) for fact in facts]


def _page(n_facts: int, lines: Callable[[Place, tuple[Fact, ...], Draws], list[str]]) -> Writer:
    """Return a writer of pages with these lines, which state that many facts."""

    def write(place: Place, draws: Draws) -> tuple[Text, str]:
        facts = tuple(draws.sample(place.facts, n_facts))
        paragraphs = tuple(lines(place, facts, draws))
        text = Text(draws.choose(TITLES).format(t=place.name), paragraphs, facts)
        return text, paragraphs_html(paragraphs)

    return write


def _keyword_spam(place: Place, facts: tuple[Fact, ...], draws: Draws) -> list[str]:
    offer = draws.choose(("cheap rooms", "best price", "free travel", "big discount"))
    stuffing = [" ".join([f"{offer} {place.name}"] * draws.between(10, 14)) + "." for _ in range(4)]
    return [*_said(facts, draws), *stuffing]


def _hashtags(place: Place, facts: tuple[Fact, ...], draws: Draws) -> list[str]:
    words = [word for sentence in _said(facts, draws) for word in sentence.rstrip(".?").split()]
    return [" ".join(f"#{word}" for word in words) + ".", *(filler(draws) for _ in range(5))]


def _ellipsis(place: Place, facts: tuple[Fact, ...], draws: Draws) -> list[str]:
    return [sentence.rstrip(".") + "..." for sentence in (*_said(facts, draws), filler(draws), filler(draws))]


def _bullets(place: Place, draws: Draws) -> tuple[Text, str]:
    facts = tuple(draws.sample(place.facts, 6))
    items = draws.shuffled([*_said(facts, draws), *(filler(draws) for _ in range(26))])
    text = Text(draws.choose(TITLES).format(t=place.name), tuple(f"- {item}" for item in items), facts)
    rows = "\n".join(f"<li>{escape(item, quote=False)}</li>" for item in items)
    return text, f"<ul>\n{rows}\n</ul>"


def _few_sentences(place: Place, facts: tuple[Fact, ...], draws: Draws) -> list[str]:
    parts = [sentence.rstrip(".?").replace("? It is", " is") for sentence in _said(facts, draws)]
    parts = [part.replace("? That was", " was") for part in parts]
    parts += [filler(draws).rstrip(".") for _ in range(4)]
    return [" and ".join(parts[:5]) + ".", " and ".join(parts[5:]) + "."]


def _filler_text(place: Place, draws: Draws) -> tuple[Text, str]:
    text = with_sentence(write_article(place, draws), "Lorem ipsum dolor sit amet, sed do eiusmod tempor.")
    return text, paragraphs_html(text.paragraphs)


def _code(place: Place, draws: Draws) -> tuple[Text, str]:
    rule = f"Use the style .town-{place.name.lower()} {{ color: {place.fact('colour').value}; }} on this page."
    text = with_sentence(write_article(place, draws), rule)
    return text, paragraphs_html(text.paragraphs)


def _numbers(place: Place, facts: tuple[Fact, ...], draws: Draws) -> list[str]:
    return [
        f"{sentence} " + " ".join(str(draws.between(10, 9999)) for _ in range(draws.between(6, 9))) + "."
        for sentence in _said(facts, draws)
    ]


def _links(place: Place, draws: Draws) -> tuple[Text, str]:
    titles = [title.format(t=place.name) for title in draws.sample(TITLES, 14)]
    rows = "\n".join(f'<li><a href="/page/{draws.between(100, 999)}">{title}</a></li>' for title in titles)
    return Text(f"All links about {place.name}", (), ()), f"<ul>\n{rows}\n</ul>"


def _notices(place: Place, facts: tuple[Fact, ...], draws: Draws) -> list[str]:
    said = [*_said(facts, draws), *(filler(draws) for _ in range(5))]
    return [f"{sentence} {draws.choose(NOTICES)}" for sentence in said]


_KINDS: dict[str, tuple[Writer, str]] = {
    "keyword_spam": (_page(2, _keyword_spam), "repetition"),
    "repeated_lines": (_page(3, lambda place, facts, draws: _said(facts, draws) * draws.between(5, 8)), "repetition"),
    "hashtags": (_page(4, _hashtags), "symbols"),
    "ellipsis": (_page(6, _ellipsis), "ellipsis"),
    "bullets": (_bullets, "bullets"),
    "stub": (_page(3, lambda place, facts, draws: [" ".join(_said(facts, draws))]), "too_short"),
    "few_sentences": (_page(6, _few_sentences), "few_sentences"),
    "filler_text": (_filler_text, "lorem_ipsum"),
    "code": (_code, "curly_bracket"),
    "numbers": (_page(5, _numbers), "few_letters"),
    "links": (_links, "too_short"),
    "notices": (_page(3, _notices), "few_sentences"),
}

POOR_KINDS: tuple[str, ...] = tuple(_KINDS)
"""The kinds of poor pages."""
