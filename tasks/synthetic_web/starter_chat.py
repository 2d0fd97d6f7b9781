"""A small general chat set for crawls without chat data: small talk, limits, small sums, spelling, lists, days.

Notable: it teaches the form of a conversation, not knowledge; every answer follows from its question or is common
knowledge.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tasks.synthetic_web.chat_data import conversation, json_lines
from tasks.synthetic_web.texts.draws import Draws

_SEED = 1
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
           "December")  # fmt: skip
_NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_WORDS = (
    "water", "bread", "house", "river", "stone", "green", "table", "winter", "music", "paper", "garden",
    "window", "bridge", "letter", "summer", "orange", "school", "friend", "morning", "flower", "kitchen",
    "silver", "pencil", "market", "island", "forest", "candle", "basket", "mirror", "button",
)  # fmt: skip
_OPPOSITES = (
    ("hot", "cold"), ("big", "small"), ("day", "night"), ("up", "down"), ("open", "closed"), ("full", "empty"),
    ("early", "late"), ("old", "new"), ("light", "dark"), ("fast", "slow"), ("high", "low"), ("wet", "dry"),
    ("first", "last"), ("left", "right"), ("hard", "soft"), ("loud", "quiet"), ("rich", "poor"), ("happy", "sad"),
)  # fmt: skip
_LISTS = {
    "colours": ("red", "blue", "green", "yellow", "white", "black", "brown"),
    "animals": ("dog", "cat", "horse", "cow", "sheep", "duck", "fox"),
    "fruits": ("apple", "pear", "plum", "cherry", "banana", "lemon", "grape"),
    "tools": ("hammer", "saw", "knife", "needle", "spade", "brush", "axe"),
}
_UNITS = (
    ("minutes", "an hour", 60), ("seconds", "a minute", 60), ("hours", "a day", 24), ("days", "a week", 7),
    ("months", "a year", 12), ("centimetres", "a metre", 100), ("metres", "a kilometre", 1000),
    ("grams", "a kilogram", 1000), ("millilitres", "a litre", 1000), ("eggs", "a dozen", 12), ("legs", "a spider", 8),
    ("legs", "a dog", 4), ("wheels", "a bicycle", 2), ("letters", "the English alphabet", 26),
)  # fmt: skip
_SMALL_TALK = (
    ("Hello!", "Hello! How can I help you?"),
    ("Hi there", "Hello! How can I help you?"),
    ("Good morning!", "Good morning! What would you like to know?"),
    ("Good evening!", "Good evening! What would you like to know?"),
    ("How are you?", "I am well, thank you. How can I help you?"),
    ("Who are you?", "I am Sluice, a small language model trained on web pages."),
    ("What is your name?", "My name is Sluice."),
    ("Are you a person?", "No, I am a language model called Sluice."),
    ("Who made you?", "I was trained with Sluice, an open-source program."),
    (
        "What can you do?",
        "I can chat and answer short questions. I am small, so please check what I say.",
    ),
    ("Do you make mistakes?", "Yes. I am a small model, so please check what I say."),
    ("What is the weather like right now?", "I cannot look outside, so I do not know the weather."),
    ("What time is it?", "I have no clock, so I do not know the time."),
    ("Thank you!", "You are welcome."),
    ("Thanks a lot", "You are welcome."),
    ("Sorry", "No problem at all."),
    ("That was wrong.", "I am sorry about that. Please tell me more, and I will try again."),
    ("Goodbye!", "Goodbye! Have a nice day."),
    ("See you tomorrow", "Goodbye! Have a nice day."),
)


def write_starter_chat(path: str | Path) -> int:
    """Write the chat set as JSON lines, the same bytes each time; return the number of conversations."""
    rows = [conversation(f"starter/{kind}/{i}", turns) for i, (kind, turns) in enumerate(_all())]
    text = "".join(json_lines(Draws(_SEED, "starter", "order").shuffled(rows)))
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8", newline="\n")
    return len(rows)


_Turns = list[tuple[str, str]]


def _all() -> Iterator[tuple[str, _Turns]]:
    draws = Draws(_SEED, "starter")
    for question, reply in _SMALL_TALK:
        yield "limits", _turns(question, reply)
    for kind, pairs in (
        ("sums", _sums(draws)),
        ("spelling", _spelling()),
        ("copying", _copying(draws)),
        ("lists", _lists(draws)),
        ("calendar", _calendar()),
        ("units", _units()),
        ("opposites", _opposites()),
    ):
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
    for name, items in _LISTS.items():
        for n in (2, 3, 3, 4):
            *first, last = draws.sample(items, n)
            yield f"Name {_NUMBERS[n]} {name}.", f"{', '.join(first)} and {last}.".capitalize()


def _calendar() -> Iterator[tuple[str, str]]:
    for names, unit in ((_DAYS, "day"), (_MONTHS, "month")):
        for i, name in enumerate(names):
            after, before = names[(i + 1) % len(names)], names[i - 1]
            yield f"Which {unit} comes after {name}?", f"After {name} comes {after}."
            yield f"Which {unit} comes before {name}?", f"Before {name} comes {before}."
    yield "What are the days of the week?", f"The days of the week are {', '.join(_DAYS[:-1])} and {_DAYS[-1]}."


def _units() -> Iterator[tuple[str, str]]:
    for unit, whole, n in _UNITS:
        yield f"How many {unit} does {whole} have?", f"{whole[0].upper()}{whole[1:]} has {n} {unit}."


def _opposites() -> Iterator[tuple[str, str]]:
    for one, other in _OPPOSITES:
        yield f"What is the opposite of {one}?", f"The opposite of {one} is {other}."
        yield f"What is the opposite of {other}?", f"The opposite of {other} is {one}."


def _longer(draws: Draws) -> Iterator[tuple[str, _Turns]]:
    """Yield conversations of two exchanges."""
    for i in range(20):
        word = _WORDS[i]
        a, b = draws.between(1, 9), draws.between(1, 9)
        hello, bye = draws.choose(_SMALL_TALK[:4]), draws.choose(_SMALL_TALK[-2:])
        yield "longer", _turns(*hello, f"What is {a} plus {b}?", f"{a} plus {b} is {a + b}.")
        yield (
            "longer",
            _turns(f"What is the first letter of {word}?", f"The first letter of {word} is {word[0]}.", *bye),
        )
