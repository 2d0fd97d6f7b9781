"""The files of conversations and questions that go with a recipe's assistant."""

from itertools import chain
from pathlib import Path

from tasks.conversations.config import AssistantConfig
from tasks.conversations.identity import identity_conversations, identity_questions
from tasks.conversations.tool_chat import Definitions, tool_conversations, tool_questions
from tasks.synthetic_web.chat_data import write_json_lines
from tasks.synthetic_web.texts.draws import Draws


def write_assistant_chat(path: Path, assistant: AssistantConfig, definitions: Definitions) -> None:
    """Write the assistant's conversations as JSON lines, the same bytes each time."""
    rows = chain(identity_conversations(assistant), tool_conversations(assistant, definitions))
    write_json_lines(path, Draws(assistant.seed, "order").shuffled(list(rows)))


def write_assistant_questions(path: Path, assistant: AssistantConfig) -> None:
    """Write the evaluation's questions to the assistant, in phrasings that are in none of its conversations."""
    write_json_lines(path, chain(identity_questions(assistant), tool_questions(assistant)))
