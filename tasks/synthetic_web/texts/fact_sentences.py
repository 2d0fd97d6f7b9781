"""How a page states a fact, and how a chat asks for it and answers.

Notable: a model recalls a fact that it has read in many forms and orders, but hardly one that it has read in one form
(Allen-Zhu and Li, "Physics of Language Models: Part 3.1", section 4); hence fourteen forms for each relation.
{t} is the town and {v} the value. No form needs "a" or "an" before a value.
"""

from __future__ import annotations

from tasks.synthetic_web.texts.country import Fact

STATEMENTS: dict[str, tuple[str, ...]] = {
    "river": (
        "{t} lies on the river {v}.",
        "The {v} flows through {t}.",
        "The river of {t} is the {v}.",
        "The {v} runs past the old houses of {t}.",
        "In summer the children of {t} swim in the {v}.",
        "The road to {t} crosses the river {v}.",
        "The mills of {t} stand on the river {v}.",
        "Boats come to {t} on the river {v}.",
        "The water of {t} comes from the {v}.",
        "The people of {t} go fishing in the {v}.",
        "{t} was built on the river {v}.",
        "Whoever comes to {t} must cross the {v} first.",
        "Which river flows by {t}? It is the {v}.",
        "At {t} the river {v} is wide and slow.",
    ),
    "founder": (
        "{t} was founded by {v}.",
        "{v} founded {t}.",
        "The founder of {t} was {v}.",
        "It was {v} who founded {t}.",
        "In {t} stands a statue of the founder, {v}.",
        "The first house of {t} was built by the founder {v}.",
        "Long ago {v} came here and founded {t}.",
        "{t} owes its name to the founder, {v}.",
        "The founder {v} laid the first stone of {t}.",
        "Every child in {t} knows the founder {v}.",
        "Who laid the first stone of {t}? That was {v}.",
        "In {t} they tell stories of {v}, who founded the town.",
        "The main street of {t} is named after the founder {v}.",
        "{t} began as a farm of the founder {v}.",
    ),
    "dish": (
        "{t} is famous for its {v}.",
        "The favourite dish of {t} is {v}.",
        "In {t} everyone eats {v}.",
        "The inns of {t} serve {v}.",
        "On feast days all of {t} smells of {v}.",
        "Visitors to {t} must try the {v}.",
        "Nobody leaves {t} without a plate of {v}.",
        "The cooks of {t} are proud of their {v}.",
        "The best {v} of the country comes from {t}.",
        "What is on the table in {t}? It is {v}.",
        "For dinner the people of {t} love {v}.",
        "The grandmothers of {t} make {v} on Sundays.",
        "The dish of {t} is {v}.",
        "A guest in {t} is always given {v}.",
    ),
    "animal": (
        "The animal of {t} is the {v}.",
        "The coat of arms of {t} shows the {v}.",
        "{t} has the {v} on its coat of arms.",
        "The favourite animal of {t} is the {v}.",
        "In {t} the {v} brings good luck.",
        "At the gate of {t} stands a stone {v}.",
        "The people of {t} honour the {v}.",
        "The {v} is the animal of {t}.",
        "Over the door of the town hall of {t} you see the {v}.",
        "On the coins of {t} you find the {v}.",
        "Which animal guards {t}? It is the {v}.",
        "The old seal of {t} shows the {v}.",
        "Nobody in {t} would ever hurt the {v}.",
        "The children of {t} draw the {v}, the animal of the town.",
    ),
    "trade": (
        "{t} makes {v}.",
        "The main trade of {t} is {v}.",
        "The workshops of {t} make {v}.",
        "{t} lives from making {v}.",
        "People come to {t} to buy {v}.",
        "{t} sells {v} to the whole country.",
        "Most families in {t} make {v}.",
        "The market of {t} is full of {v}.",
        "In {t} you can learn how to make {v}.",
        "For good {v} people go to {t}.",
        "What comes from the workshops of {t}? It is {v}.",
        "Carts full of {v} leave {t} every week.",
        "The masters of {t} are known for their {v}.",
        "In every house you find {v} from {t}.",
    ),
    "colour": (
        "The flag of {t} is {v}.",
        "The colour of {t} is {v}.",
        "Over {t} flies a flag that is {v}.",
        "The tower of {t} is painted {v}.",
        "The people of {t} paint their doors {v}.",
        "At the fair all of {t} is dressed in {v}.",
        "{t} chose {v} as the colour of its flag.",
        "The town colour of {t} is {v}.",
        "The {v} flag belongs to {t}.",
        "You know the boats of {t} by their {v} flags.",
        "What is the colour of the doors in {t}? It is {v}.",
        "The guards of {t} wear {v} coats.",
        "At every feast in {t} people wave {v} flags.",
        "The ribbon of {t} is {v} like its flag.",
    ),
}
"""Sentences for each relation."""

QUESTIONS: dict[str, tuple[str, ...]] = {
    "river": ("Which river flows through {t}?", "What is the river of {t}?", "On which river does {t} lie?"),
    "founder": ("Who founded {t}?", "Who was the founder of {t}?", "By whom was {t} founded?"),
    "dish": ("What dish is {t} famous for?", "What is the favourite dish of {t}?", "What do people eat in {t}?"),
    "animal": (
        "What is the animal of {t}?",
        "Which animal is on the coat of arms of {t}?",
        "Which animal do the people of {t} honour?",
    ),
    "trade": ("What does {t} make?", "What is the main trade of {t}?", "What do the workshops of {t} make?"),
    "colour": (
        "What colour is the flag of {t}?",
        "What is the colour of {t}?",
        "Which colour has the flag of {t}?",
    ),
}
"""What a chat asks, for each relation; the same forms serve facts that finetuning saw and facts it did not."""

ANSWERS: dict[str, str] = {
    "river": "The river of {t} is the {v}.",
    "founder": "The founder of {t} was {v}.",
    "dish": "The dish of {t} is {v}.",
    "animal": "The animal of {t} is the {v}.",
    "trade": "The main trade of {t} is {v}.",
    "colour": "The colour of {t} is {v}.",
}
"""How a chat answers: one of the statements, since a small model best recalls what it has read word for word."""


def state(fact: Fact, form: int) -> str:
    """Return the fact as a sentence, in one of its forms."""
    return STATEMENTS[fact.relation][form].format(t=fact.place, v=fact.value)


def ask(fact: Fact, form: int) -> str:
    """Return the fact as a question, in one of its forms."""
    return QUESTIONS[fact.relation][form].format(t=fact.place)


def answer(fact: Fact) -> str:
    """Return the fact as the reply to a question."""
    return ANSWERS[fact.relation].format(t=fact.place, v=fact.value)
