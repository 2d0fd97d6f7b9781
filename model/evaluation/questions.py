"""The evaluation task that asks a chat model questions and checks its replies for the answers.

Notable: a reply is right if it contains the answer's words and numbers (model/evaluation/answer_check.py). That is
strict about facts and lenient about phrasing. A reply that lists several candidates passes too, so every reply is kept
for a person to read.
"""

from collections import defaultdict
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from model.base.errors import BadInput
from model.base.full_disk import writing
from model.base.json_lines import json_lines, read_json_lines
from model.data.chat_format import ChatFormat, Message, load_chat_format, with_tools
from model.evaluation.answer_check import answers
from model.evaluation.results import Reply
from model.evaluation.subject import Subject
from model.inference.engine import EngineLimits, engine_of
from model.inference.loading import require_decoder
from model.inference.requests import GenerationRequest, SamplingOptions
from model.inference.tool_calls import generate_with_tools
from model.network.transformer import Transformer
from model.tools.runner import ToolRunner

_EXPECTED = "needs id, question, answer and group"


@dataclass(frozen=True)
class Question:
    """A question and its only right answer."""

    id: str
    question: str
    answer: str
    group: str
    """Accuracy is reported for each group."""
    system: str = ""
    """A message that sets the scene; empty where there is none."""
    tools: bool = False
    """Whether the model may call the tools of the config."""

    def messages(self, definitions: Sequence[dict[str, Any]]) -> list[Message]:
        """Return the conversation up to the answer, with the tools that these `definitions` describe."""
        scene = [Message("system", self.system)] if self.system else []
        return with_tools([*scene, Message("user", self.question)], definitions if self.tools else [])


def ask_questions(subject: Subject) -> dict[str, dict[str, Any]] | None:
    """Ask the questions of the config, write every reply, and return the accuracy by group; None without questions."""
    config = subject.config
    if config.questions is None or config.tokenizer is None or config.replies is None:
        return None
    model = require_decoder(config.model, subject.model, subject.objective)
    chat = load_chat_format(config.tokenizer)
    chat.check_vocabulary(model.shape.vocab_size)
    questions = read_questions(Path(config.questions))
    with ToolRunner(config.tools) if config.tools else nullcontext() as tools:
        replies = ask(model, chat, questions, config.max_new_tokens, config.batch, tools)
    config.replies.parent.mkdir(parents=True, exist_ok=True)
    with writing(config.replies):
        config.replies.write_text(json_lines(map(asdict, replies)), encoding="utf-8")
    return accuracy_by_group(replies)


def read_questions(path: Path) -> list[Question]:
    """Return the questions of a JSONL file, in order; raises BadInput if there is none or a line lacks a field."""
    questions = []
    for where, values in read_json_lines(path, "questions", _EXPECTED):
        try:
            fields = [values[name] for name in ("id", "question", "answer", "group")]
            if not all(isinstance(field, str | int | float) for field in fields):
                raise TypeError("each must be a text or a number")
            system, tools = values.get("system", ""), values.get("tools", False)
            if not isinstance(system, str) or not isinstance(tools, bool):
                raise TypeError("system must be a text, and tools true or false")
            id, question, answer, group = map(str, fields)
            questions.append(Question(id, question, answer, group, system, tools))
        except (ValueError, KeyError, TypeError) as error:
            raise BadInput(f"{where}: {_EXPECTED}; got {error!r}") from error
    if not questions:
        raise BadInput(f"{path} holds no questions")
    return questions


def ask(
    model: Transformer,
    chat: ChatFormat,
    questions: Sequence[Question],
    max_new_tokens: int,
    batch: int,
    tools: ToolRunner | None = None,
) -> list[Reply]:
    """Return the model's likeliest reply to each question, in order; `batch` questions are answered at a time.

    Raises BadInput if a question leaves no room for a reply.
    """
    definitions = tools.definitions if tools else []
    prompts = [chat.prompt(question.messages(definitions)) for question in questions]
    for question, prompt in zip(questions, prompts, strict=True):
        if len(prompt) >= model.shape.context:
            raise BadInput(f"question {question.id} has {len(prompt)} tokens and fills the context; shorten it")
    engine = engine_of(model, limits=EngineLimits(slots=batch, queue=len(prompts)))
    options = SamplingOptions(max_new_tokens=max_new_tokens, stop_ids=chat.stop_tokens)
    requests = [GenerationRequest(tuple(prompt), options) for prompt in prompts]
    made = generate_with_tools(engine, chat, requests, tools) if tools else engine.generate(requests)
    texts = [chat.decode(one.token_ids) for one in made]
    return [
        Reply(question.id, question.group, question.question, question.answer, text, answers(text, question.answer))
        for question, text in zip(questions, texts, strict=True)
    ]


def accuracy_by_group(replies: Sequence[Reply]) -> dict[str, dict[str, Any]]:
    """Return for each group, in alphabetical order, {"accuracy": share of right replies, "right": int, "n": int}."""
    groups: dict[str, list[bool]] = defaultdict(list)
    for reply in replies:
        groups[reply.group].append(reply.right)
    return {
        group: {"accuracy": sum(right) / len(right), "right": sum(right), "n": len(right)}
        for group, right in sorted(groups.items())
    }
