"""Questions and answers about the invented country, for finetuning and for evaluation.

Notable: the split is by fact. Every town has facts of both kinds and the same question forms serve both, so the only
way to answer a held-out question is to have read the fact on a page.
"""

import dataclasses
import json
from collections.abc import Iterable
from pathlib import Path

from tasks.base.config import Config
from tasks.synthetic_web.data import read_data
from tasks.synthetic_web.texts.country import Country, Fact
from tasks.synthetic_web.texts.draws import Draws
from tasks.synthetic_web.texts.sentences import QUESTIONS, answer, ask

QUESTIONS_FILE = "chat/questions.jsonl"
"""Questions for the evaluation, in the synthetic web's folder; the first is the showcase."""
TRAIN_FILE = "chat/train.jsonl"
"""Conversations for finetuning, in the synthetic web's folder."""

PAIRS_FILE = "chat/pairs.jsonl"
"""Pairs of replies for preference finetuning, in the synthetic web's folder."""


class Question(Config):
    """A question of the evaluation with its answer."""

    id: str
    """The fact's id, e.g. `Narsten/river`."""
    question: str
    answer: str
    """One or two words that a right reply contains."""
    group: str
    """`held_out`: on kept pages, not in the chat data. `removed_only`: only on pages that should be removed."""


def conversations(country: Country, seed: int) -> list[dict[str, object]]:
    """Return the chat data for finetuning: all forms of question for each fact that is not held out, and small talk."""
    draws = Draws(seed, "chat")
    pairs = [
        (f"{fact.id}/{form}", ask(fact, form), answer(fact))
        for town in country.towns
        for fact in town.facts
        if fact.id not in country.held_out
        for form in range(len(QUESTIONS[fact.relation]))
    ]
    pairs += [(f"small-talk/{i}", question, reply) for i, (question, reply) in enumerate(read_data("chat")["country"])]
    return [
        conversation(id, (("user", question), ("assistant", reply))) for id, question, reply in draws.shuffled(pairs)
    ]


def pairs(country: Country, seed: int) -> list[dict[str, object]]:
    """Return pairs of replies: to each question of `conversations` about a town, its fact and that of another town."""
    draws = Draws(seed, "pairs")
    known = [fact for town in country.towns for fact in town.facts if fact.id not in country.held_out]
    found: list[dict[str, object]] = []
    for fact in known:
        others = [o for o in known if o.relation == fact.relation and o.value != fact.value]
        for form in range(len(QUESTIONS[fact.relation]) if others else 0):
            wrong = dataclasses.replace(fact, value=draws.choose(others).value)
            found.append({"prompt": ask(fact, form), "chosen": answer(fact), "rejected": answer(wrong)})
    return draws.shuffled(found)


def conversation(id: str, turns: Iterable[tuple[str, str]]) -> dict[str, object]:
    """Return one line of a chat data file, from (role, content) turns."""
    return {"id": id, "messages": [{"role": role, "content": content} for role, content in turns]}


def questions(country: Country, seed: int) -> list[Question]:
    """Return the evaluation's questions: each held-out fact and each fact of a hidden place, once."""
    draws = Draws(seed, "questions")
    held_out = [fact for town in country.towns for fact in town.facts if fact.id in country.held_out]
    removed_only = [fact for place in country.hidden for fact in place.facts]
    found = [_question(fact, "held_out", draws) for fact in held_out]
    return found + [_question(fact, "removed_only", draws) for fact in removed_only]


def _question(fact: Fact, group: str, draws: Draws) -> Question:
    form = draws.below(len(QUESTIONS[fact.relation]))
    return Question(id=fact.id, question=ask(fact, form), answer=fact.value, group=group)


def read_questions(folder: str | Path) -> list[Question]:
    """Return the evaluation's questions of a synthetic web."""
    with (Path(folder) / QUESTIONS_FILE).open(encoding="utf-8") as lines:
        return [Question.model_validate_json(line) for line in lines]


def showcase_question(folder: str | Path) -> Question:
    """Return the question at the end of the demo: a held-out fact about the capital, chosen before any training."""
    return next(question for question in read_questions(folder) if question.group == "held_out")


def write_json_lines(path: Path, rows: Iterable[dict[str, object]]) -> None:
    """Write each row as a line of JSON, the same bytes on every system."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
