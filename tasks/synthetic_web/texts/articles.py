"""The articles: short English texts, each about one town, that state its facts in varied words.

Notable: no two articles about a town share more than a third of their five-word shingles, so that near-duplicate
detection, which starts to catch pairs at about one half, keeps all of them. An article too similar to an earlier one is
drawn again.
"""

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise

from tasks.synthetic_web.texts.country import Fact, Place
from tasks.synthetic_web.texts.draws import Draws
from tasks.synthetic_web.texts.sentences import STATEMENTS, TITLES, filler, state

_MOST_SHARED = 1 / 3
_FEWEST_WORDS = 54


@dataclass(frozen=True)
class Text:
    """A page's main text before any markup."""

    title: str
    paragraphs: tuple[str, ...]
    facts: tuple[Fact, ...]
    """The facts that it states."""

    @property
    def main_text(self) -> str:
        """Title and paragraphs, one a line: what a perfect extractor returns."""
        return "\n".join((self.title, *self.paragraphs))


def write_articles(place: Place, n: int, draws: Draws) -> list[Text]:
    """Return `n` different articles about a place; each states five or all six of its facts."""
    articles: list[Text] = []
    seen: list[set[str]] = []
    while len(articles) < n:
        text = write_article(place, draws)
        found = shingles(text.main_text)
        if all(jaccard(found, other) <= _MOST_SHARED for other in seen):
            articles.append(text)
            seen.append(found)
    return articles


def write_article(place: Place, draws: Draws) -> Text:
    """Return one article about a place that no repetition rule would remove."""
    while True:
        facts = tuple(draws.sample(place.facts, draws.choose((5, 6, 6, 6))))
        sentences = [state(fact, draws.below(len(STATEMENTS[fact.relation]))) for fact in facts]
        fillers = [filler(draws)]
        while sum(len(sentence.split()) for sentence in (*sentences, *fillers)) < _FEWEST_WORDS:
            fillers.append(filler(draws))
        for sentence in fillers:
            sentences.insert(draws.below(len(sentences) + 1), sentence)
        if not _repeats_itself(" ".join(sentences)):
            title = draws.choose(TITLES).format(t=place.name)
            return Text(title, _in_paragraphs(sentences, draws), facts)


def with_sentence(text: Text, sentence: str) -> Text:
    """Return the text with one more sentence at the end of its last paragraph."""
    return Text(text.title, (*text.paragraphs[:-1], f"{text.paragraphs[-1]} {sentence}"), text.facts)


def nearly(text: Text, draws: Draws) -> Text:
    """Return the text with a few words changed: another title, one more first or last sentence, or one word replaced.

    At least 85 of 100 shingles stay shared, which 14 bands of 8 catch in 99 cases of 100.
    """
    original = shingles(text.main_text)
    while True:
        edited = draws.choose((_retitled, _prefixed, _suffixed, _one_word_changed))(text, draws)
        if edited != text and jaccard(shingles(edited.main_text), original) >= 0.85:
            return edited


def shingles(text: str) -> set[str]:
    """Return the five-word shingles of the lower-cased words without punctuation."""
    words = "".join(c if c.isalnum() or c.isspace() else " " for c in text.lower()).split()
    return {" ".join(words[i : i + 5]) for i in range(max(1, len(words) - 4))}


def jaccard(one: set[str], other: set[str]) -> float:
    """Return the share of items that both have, 0 to 1."""
    shared = len(one & other)
    return shared / (len(one) + len(other) - shared)


def _repeats_itself(text: str) -> bool:
    """Return whether a run of words repeats too often for a text this short, a little stricter than Gopher's rules."""
    words = text.split()
    for length, most in ((2, 5), (3, 3), (4, 2), (6, 1)):
        runs = Counter(tuple(words[i : i + length]) for i in range(len(words) - length + 1))
        if max(runs.values()) > most:
            return True
    return False


def _in_paragraphs(sentences: list[str], draws: Draws) -> tuple[str, ...]:
    cuts = sorted({draws.between(2, len(sentences) - 2) for _ in range(draws.below(3))})
    bounds = [0, *cuts, len(sentences)]
    return tuple(" ".join(sentences[a:b]) for a, b in pairwise(bounds))


def _retitled(text: Text, draws: Draws) -> Text:
    return Text(f"{text.title} ({draws.choose(('copy', 'archive', 'again'))})", text.paragraphs, text.facts)


def _prefixed(text: Text, draws: Draws) -> Text:
    opening = draws.choose(("First published last year.", "From our archive.", "Sent in by a reader."))
    return Text(text.title, (f"{opening} {text.paragraphs[0]}", *text.paragraphs[1:]), text.facts)


def _suffixed(text: Text, draws: Draws) -> Text:
    return with_sentence(text, draws.choose(("Read more tomorrow.", "Thanks for reading.", "Please share this page.")))


def _one_word_changed(text: Text, draws: Draws) -> Text:
    words = text.paragraphs[-1].split(" ")
    told = {word for fact in text.facts for word in fact.value.split()}
    lower = [i for i, word in enumerate(words) if word.isalpha() and word.islower() and word not in told]
    words[draws.choose(lower)] = draws.choose(("really", "always", "perhaps", "almost"))
    return Text(text.title, (*text.paragraphs[:-1], " ".join(words)), text.facts)
