"""Conversations about who the assistant is, and under system prompts that make it another or ask for a form.

Notable: a system prompt's names are invented, hundreds of them, so the only way to answer is to read the prompt. The
evaluation's phrasings and names are in none of the conversations.
"""

from collections.abc import Iterator
from functools import cache
from importlib import resources
from typing import Any

import yaml

from tasks.conversations.config import AssistantConfig
from tasks.synthetic_web.chat_data import conversation
from tasks.synthetic_web.texts.draws import Draws

Row = dict[str, object]

_WAYS = 4
"""Ways in which each question about the assistant is asked."""


@cache
def _phrasings() -> dict[str, Any]:
    return yaml.safe_load(resources.files("tasks.conversations").joinpath("phrasings.yaml").read_text(encoding="utf-8"))


def identity_conversations(assistant: AssistantConfig) -> Iterator[Row]:
    """Yield each question about the assistant with its answer, then conversations under system prompts."""
    topics = _phrasings()["topics"]
    draws = Draws(assistant.seed, "openings")
    for topic, phrased in topics.items():
        for number, question in enumerate(phrased["questions"]):
            for way, opening in enumerate(draws.sample(_phrasings()["openings"], _WAYS)):
                turns = [("user", opening + question), ("assistant", _filled(phrased["answer"], assistant))]
                yield conversation(f"identity/{topic}/{number}/{way}", turns)
    draws = Draws(assistant.seed, "system prompts")
    for number in range(assistant.examples):
        topic = draws.choose(("name", "maker"))
        question = draws.choose(_phrasings()["openings"]) + draws.choose(topics[topic]["questions"])
        if number % 2:
            system, answer = _persona(draws, assistant, topics[topic]["answer"])
        else:
            answer = _filled(topics[topic]["answer"], assistant)
            system, answer = _form(draws, answer, _phrasings()["words"])
        turns = [("system", system), ("user", question), ("assistant", answer)]
        yield conversation(f"system/{number}", turns)


def identity_questions(assistant: AssistantConfig) -> Iterator[Row]:
    """Yield the evaluation's questions: held-out phrasings, without and with system prompts.

    Groups: `identity`; `system_prompt`, which asks for a form; `persona`, which gives a name that was never seen.
    """
    topics = {topic: phrased for topic, phrased in _phrasings()["topics"].items() if "held_out" in phrased}
    for topic, phrased in topics.items():
        for number, question in enumerate(phrased["held_out"]):
            answer = _filled(phrased["contains"], assistant)
            yield _question(f"identity/{topic}/{number}", question, answer, "identity")
    draws = Draws(assistant.seed, "system prompts", "held out")
    for topic in ("name", "maker"):
        for number, question in enumerate(topics[topic]["held_out"]):
            system, answer = _persona(draws, assistant, topics[topic]["contains"])
            yield _question(f"persona/{topic}/{number}", question, answer, "persona") | {"system": system}
            word = draws.choose(_phrasings()["words"])
            system, _ = _form(draws, "", [word])
            yield _question(f"form/{topic}/{number}", question, word, "system_prompt") | {"system": system}


def _question(id: str, question: str, answer: str, group: str) -> Row:
    return {"id": id, "question": question, "answer": answer, "group": group}


def _filled(pattern: str, assistant: AssistantConfig, **other: str) -> str:
    return pattern.format(**(assistant.model_dump() | {"noun": assistant.noun} | other))


def _persona(draws: Draws, assistant: AssistantConfig, answer: str) -> tuple[str, str]:
    """Return a system prompt that gives another name and maker, and the answer that follows it."""
    name, maker = _name(draws), f"{_name(draws)} {draws.choose(_phrasings()['makers'])}"
    system = draws.choose(_phrasings()["personas"])
    return _filled(system, assistant, name=name, maker=maker), _filled(answer, assistant, name=name, maker=maker)


def _form(draws: Draws, answer: str, words: list[str]) -> tuple[str, str]:
    """Return a system prompt that asks for a form, and the answer in that form."""
    system, form = draws.choose(_phrasings()["forms"])
    word = draws.choose(words)
    return system.format(word=word), form.format(word=word, answer=answer)


def _name(draws: Draws) -> str:
    """Return a name that is hardly drawn twice."""
    return "".join(draws.choose(_phrasings()["syllables"]) for _ in range(3)).capitalize()
