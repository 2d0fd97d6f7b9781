"""Conversations that teach the use of tools: a question, the call, its result, the answer out of the result.

Notable: results are not learnt, since model/data/chat_format.py trains on what the assistant writes only. The facts of
the search's results are invented, so an answer can come from nowhere but the result. Some questions need no tool, some
calls have no result.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from tasks.conversations.config import AssistantConfig
from tasks.synthetic_web.chat_data import conversation
from tasks.synthetic_web.texts.draws import Draws

Row = dict[str, object]
Definitions = Mapping[str, Mapping[str, Any]]
"""The tools as a model is told of them, by name."""

_OPERATIONS = (("plus", "+"), ("minus", "-"), ("times", "*"), ("divided by", "/"))
_SUMS = (
    *("What is {a} {word} {b}?", "Work out {a} {word} {b}.", "How much is {a} {word} {b}?", "{a} {sign} {b} = ?"),
    *("{a} {word} {b}?", "{a} {word} {b}, please.", "And {a} {word} {b}?", "I need {a} {word} {b}."),
)
_HELD_OUT_SUMS = ("Tell me {a} {word} {b}.", "{a} {word} {b} is what?", "Can you work out {a} {word} {b}?")
_FACTS = {
    "river": ("Which river is {place} on?", "{place} lies on the river {value}."),
    "mayor": ("Who is the mayor of {place}?", "The mayor of {place} is {value}."),
    "product": ("What is {place} known for?", "{place} is known for {value}."),
}
_FILLER = ("Its market is held on Fridays.", "A bridge leads over the water.", "Trains stop there twice a day.")
_NO_TOOL = (("Hello!", "Hello! How can I help you?"), ("Thank you!", "You are welcome."), ("Goodbye!", "Goodbye!"))
_MOST_EXCHANGES = 4
"""Questions with calls in one conversation, at most: a model learns to copy operands the sooner, the more it sees."""
_STARTS = ("Bran", "Cald", "Dorn", "Elm", "Farn", "Gost", "Holm", "Irk", "Jast", "Krem", "Lund", "Morr", "Nast", "Osk")
_ENDS = ("ava", "berg", "dale", "eth", "ford", "gate", "ine", "ock", "um", "wick")


def tool_conversations(assistant: AssistantConfig, definitions: Definitions) -> Iterator[Row]:
    """Yield conversations for each of the assistant's tools, in which all of them are described."""
    tools = [definitions[name] for name in assistant.tools]
    for name in assistant.tools:
        draws = Draws(assistant.seed, "tools", name)
        for number in range(assistant.examples):
            exchanges = [_EXAMPLES[name](draws) for _ in range(draws.between(1, _MOST_EXCHANGES))]
            messages = [message for exchange in exchanges for message in exchange]
            yield {"id": f"{name}/{number}", "messages": messages, "tools": tools}
    for number, (question, reply) in enumerate(_NO_TOOL if tools else ()):
        yield conversation(f"no tool/{number}", [("user", question), ("assistant", reply)]) | {"tools": tools}


def tool_questions(assistant: AssistantConfig) -> Iterator[Row]:
    """Yield the evaluation's questions for the calculator: phrasings and sums that are in no conversation."""
    draws = Draws(assistant.seed, "tools", "held out")
    for number in range(30 if "calculator" in assistant.tools else 0):
        question, _, value = _sum(draws, _HELD_OUT_SUMS, largest=999)
        row = {"id": f"calculator/{number}", "question": question, "answer": value, "group": "calculator"}
        yield row | {"tools": True}


def _with_call(question: str, tool: str, arguments: dict[str, str], result: str, reply: str) -> list[Row]:
    call = {"function": {"name": tool, "arguments": json.dumps(arguments, ensure_ascii=False)}}
    return [
        {"role": "user", "content": question},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": result},
        {"role": "assistant", "content": reply},
    ]


def _sum(draws: Draws, phrasings: tuple[str, ...], largest: int) -> tuple[str, str, str]:
    """Return a question, its expression and its value."""
    word, sign = draws.choose(_OPERATIONS)
    a, b = draws.between(2, largest), draws.between(2, largest)
    if sign == "/":
        b = draws.between(2, 99)
        a = b * draws.between(2, 99)
    value = {"+": a + b, "-": a - b, "*": a * b, "/": a // b}[sign]
    return draws.choose(phrasings).format(a=a, b=b, word=word, sign=sign), f"{a}{sign}{b}", str(value)


def _calculator_example(draws: Draws) -> list[Row]:
    question, expression, value = _sum(draws, _SUMS, largest=10 ** draws.between(1, 3))
    reply = f"The result is {value}."
    if draws.chance(0.03):
        a = draws.between(2, 99)
        question, expression = f"What is {a} divided by 0?", f"{a}/0"
        value, reply = "error: division by zero", "Nothing can be divided by zero."
    return _with_call(question, "calculator", {"expression": expression}, value, reply)


def _search_example(draws: Draws) -> list[Row]:
    place = _name(draws)
    relation = draws.choose(list(_FACTS))
    question, statement = _FACTS[relation]
    fact = statement.format(place=place, value=_name(draws))
    result, reply = " ".join(draws.shuffled([fact, draws.choose(_FILLER)])), fact
    if draws.chance(0.05):
        result, reply = "error: nothing was found", f"I found nothing about {place}."
    query = f"{relation} {place}"
    return _with_call(question.format(place=place), "search", {"query": query}, result, reply)


def _name(draws: Draws) -> str:
    return draws.choose(_STARTS) + draws.choose(_ENDS)


_EXAMPLES = {"calculator": _calculator_example, "search": _search_example}
