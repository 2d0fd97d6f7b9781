"""A small general chat set for crawls without chat data: small talk, limits, small sums, spelling, lists, days.

Notable: it teaches the form of a conversation, not knowledge; every answer follows from its question or is common
knowledge.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from tasks.synthetic_web.chat_data import conversation, write_json_lines
from tasks.synthetic_web.data import read_data
from tasks.synthetic_web.texts.draws import Draws

_SEED = 1
_CHAT = read_data("chat")
_NUMBERS, _WORDS, _SMALL_TALK = (_CHAT[name] for name in ("numbers", "words", "small_talk"))


def write_starter_chat(path: str | Path) -> int:
    """Write the chat set as JSON lines, the same bytes each time; return the number of conversations."""
    rows = [conversation(f"starter/{kind}/{i}", turns) for i, (kind, turns) in enumerate(_all())]
    write_json_lines(Path(path), Draws(_SEED, "starter", "order").shuffled(rows))
    return len(rows)


_Turns = list[tuple[str, str]]


def _all() -> Iterator[tuple[str, _Turns]]:
    draws = Draws(_SEED, "starter")
    exchanges: dict[str, Iterable[tuple[str, str]]] = {
        "limits": _SMALL_TALK,
        "sums": _sums(draws),
        "spelling": _spelling(),
        "copying": _copying(draws),
        "lists": _lists(draws),
        "calendar": _calendar(),
        "units": _units(),
        "opposites": _opposites(),
    }
    for kind, pairs in exchanges.items():
        for question, reply in pairs:
            yield kind, _turns(question, reply)
    yield from _longer(draws)


def _turns(*contents: str) -> _Turns:
    return [("user" if i % 2 == 0 else "assistant", content) for i, content in enumerate(contents)]


def _sums(draws: Draws) -> Iterator[tuple[str, str]]:
    pairs = [(a, b) for a in range(1, 11) for b in range(1, 11)]
    for a, b in draws.sample(pairs, 50):
        yield f"What is {a} plus {b}?", f"{a} plus {b} is {a + b}."
    for a, b in draws.sample([pair for pair in pairs if pair[0] >= pair[1]], 25):
        yield f"What is {a} minus {b}?", f"{a} minus {b} is {a - b}."
    for a, b in draws.sample([pair for pair in pairs if max(pair) <= 5], 15):
        yield f"What is {a} times {b}?", f"{a} times {b} is {a * b}."


def _spelling() -> Iterator[tuple[str, str]]:
    for word in _WORDS:
        yield f"Spell the word {word}.", f"{'-'.join(word)}."
        yield f"What is the first letter of {word}?", f"The first letter of {word} is {word[0]}."
        yield f"How many letters does {word} have?", f"The word {word} has {_NUMBERS[len(word)]} letters."


def _copying(draws: Draws) -> Iterator[tuple[str, str]]:
    for _ in range(30):
        words = " ".join(draws.sample(_WORDS, draws.between(2, 4)))
        yield f"Repeat after me: {words}.", f"{words}.".capitalize()
    for word in draws.sample(_WORDS, 15):
        yield f"Write {word} in capital letters.", f"{word.upper()}."


def _lists(draws: Draws) -> Iterator[tuple[str, str]]:
    for name, items in _CHAT["lists"].items():
        for n in (2, 3, 3, 4):
            *first, last = draws.sample(items, n)
            yield f"Name {_NUMBERS[n]} {name}.", f"{', '.join(first)} and {last}.".capitalize()


def _calendar() -> Iterator[tuple[str, str]]:
    for names, unit in ((_CHAT["days"], "day"), (_CHAT["months"], "month")):
        for i, name in enumerate(names):
            after, before = names[(i + 1) % len(names)], names[i - 1]
            yield f"Which {unit} comes after {name}?", f"After {name} comes {after}."
            yield f"Which {unit} comes before {name}?", f"Before {name} comes {before}."
    *days, last = _CHAT["days"]
    yield "What are the days of the week?", f"The days of the week are {', '.join(days)} and {last}."


def _units() -> Iterator[tuple[str, str]]:
    for unit, whole, n in _CHAT["units"]:
        yield f"How many {unit} does {whole} have?", f"{whole[0].upper()}{whole[1:]} has {n} {unit}."


def _opposites() -> Iterator[tuple[str, str]]:
    for one, other in _CHAT["opposites"]:
        yield f"What is the opposite of {one}?", f"The opposite of {one} is {other}."
        yield f"What is the opposite of {other}?", f"The opposite of {other} is {one}."


def _longer(draws: Draws) -> Iterator[tuple[str, _Turns]]:
    """Yield conversations of two exchanges."""
    for i in range(20):
        word, a, b = _WORDS[i], draws.between(1, 9), draws.between(1, 9)
        hello, bye = draws.choose(_SMALL_TALK[:4]), draws.choose(_SMALL_TALK[-2:])
        yield "longer", _turns(*hello, f"What is {a} plus {b}?", f"{a} plus {b} is {a + b}.")
        question = f"What is the first letter of {word}?"
        yield "longer", _turns(question, f"The first letter of {word} is {word[0]}.", *bye)
