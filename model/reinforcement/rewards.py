"""Rewards by name: what a program can check of a reply. Needs no torch.

Notable: a reward is a function of a reply and of its prompt's line in the file. A user's own has the same interface.
They all run in a process of their own (model/reinforcement/reward_process.py), so none can hang or end the training.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from model.data.chat_format import END_OF_THINKING, THINKING
from model.evaluation.answer_check import answers

_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")


@dataclass(frozen=True)
class Reply:
    """What the model said."""

    text: str
    """Without control tokens; may be empty."""
    tokens: int
    """Its length, the token that ends it included."""
    finished: bool
    """Whether the model ended it, rather than the limit."""
    limit: int
    """`max_new_tokens`."""


Reward = Callable[[Reply, Mapping[str, Any]], float]
"""From a reply and the JSON object of its prompt to a number; the higher, the better."""


def answer(reply: Reply, prompt: Mapping[str, Any]) -> float:
    """1 for a reply that contains the words and numbers of the prompt's `answer`, as in evaluation: facts."""
    return float(answers(reply.text, str(prompt["answer"])))


def exact(reply: Reply, prompt: Mapping[str, Any]) -> float:
    """1 for a reply that is the prompt's `answer`, apart from white space around it."""
    return float(reply.text.strip() == str(prompt["answer"]).strip())


def last_number(reply: Reply, prompt: Mapping[str, Any]) -> float:
    """1 for a reply whose last number equals the prompt's `answer`: arithmetic, with any working before it."""
    found = _NUMBER.findall(reply.text)
    return float(bool(found) and _value(found[-1]) == _value(str(prompt["answer"])))


def thinking_format(reply: Reply, prompt: Mapping[str, Any]) -> float:
    """1 for a reply that thinks once, between the chat format's marks, and then answers (arXiv:2501.12948, 2.2.2)."""
    before, opened, rest = reply.text.partition(THINKING)
    thought, closed, said = rest.partition(END_OF_THINKING)
    marks = THINKING, END_OF_THINKING
    whole = bool(opened and closed and thought.strip() and said.strip()) and not before.strip()
    return float(whole and not any(mark in part for mark in marks for part in (thought, said)))


def brevity(reply: Reply, prompt: Mapping[str, Any]) -> float:
    """The share of `max_new_tokens` that a reply leaves unused: length."""
    return 1.0 - reply.tokens / reply.limit


def finished(reply: Reply, prompt: Mapping[str, Any]) -> float:
    """1 for a reply that the model ended by itself."""
    return float(reply.finished)


REWARDS: Mapping[str, Reward] = {
    reward.__name__: reward for reward in (answer, exact, last_number, thinking_format, brevity, finished)
}
"""The built-in rewards."""


def _value(number: str) -> Fraction:
    return Fraction(number.strip().replace(",", ""))
