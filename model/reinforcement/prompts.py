"""The prompts of reinforcement learning: read from a file, some of them held out.

Notable: every line is accounted for. A prompt that leaves no room for a whole reply is left out, as is one that is held
out and stands elsewhere in the file too; both are counted and logged. A prompt that stands there twice is asked twice.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xxhash

from model.base.errors import BadInput
from model.base.json_lines import json_lines, read_json_lines
from model.data.chat_format import ChatFormat
from model.data.conversations import conversation_of

_EXPECTED = 'a prompt looks like {"prompt": "...", "answer": "..."}, or has "messages"'
_HELD_OUT_DRAW = 1
"""Beside the seed, so that this draw has nothing to do with the order of the prompts."""


@dataclass(frozen=True)
class Prompt:
    """What the model is asked, and what the rewards know about it."""

    ids: tuple[int, ...]
    """The tokens after which the reply begins."""
    line: Mapping[str, Any]
    """Its object in the file; the last message of a whole conversation is its `answer`, unless it has another."""


@dataclass(frozen=True)
class Prompts:
    """The prompts of a run."""

    trained: list[Prompt]
    held_out: list[Prompt]
    digest: str
    """xxh3-128 of all that decides the batches."""
    facts: dict[str, int]
    """Numbers of prompts, of those that are repeated, left out and held out."""


def open_prompts(path: Path, chat: ChatFormat, longest: int, held_out: int, seed: int) -> Prompts:
    """Read the prompts of a JSONL file; `held_out` of them, drawn with the seed, are not to be trained on.

    Those of more than `longest` tokens are left out. Raises BadInput if a line is malformed, or none is left to train
    on.
    """
    read = [_prompt(values, where, chat) for where, values in read_json_lines(path, "prompts", _EXPECTED)]
    fitting = [prompt for prompt in read if len(prompt.ids) <= longest]
    times = Counter(prompt.ids for prompt in fitting)
    distinct = list(times)
    if held_out and held_out >= len(distinct):
        raise BadInput(f"held_out_prompts is {held_out}, and {path} has {len(distinct)} different prompts that fit")
    drawn = np.random.default_rng([seed, _HELD_OUT_DRAW]).permutation(len(distinct))[:held_out]
    kept_back = {distinct[number]: number for number in drawn.tolist()}
    trained = [prompt for prompt in fitting if prompt.ids not in kept_back]
    tested = list({prompt.ids: prompt for prompt in fitting if prompt.ids in kept_back}.values())
    if not trained:
        raise BadInput(f"{path} holds no prompt of at most {longest} tokens, which is what max_new_tokens leaves")
    digest = xxhash.xxh3_128(json_lines([prompt.line for prompt in (*trained, *tested)]).encode())
    digest.update(str([prompt.ids for prompt in trained]).encode())
    facts = {"prompts": len(trained), "repeated": len(fitting) - len(distinct), "too_long": len(read) - len(fitting)}
    return Prompts(trained, tested, digest.hexdigest(), facts | {"held_out": len(tested)})


def _prompt(values: Any, where: str, chat: ChatFormat) -> Prompt:
    try:
        text = values.get("prompt", values.get("question"))
    except AttributeError as error:
        raise BadInput(f"{where}: {_EXPECTED}") from error
    asked = values if text is None else {"messages": [{"role": "user", "content": text}]}
    messages, line = conversation_of(asked, where), values
    if messages and messages[-1].role == "assistant":
        line = {"answer": messages.pop().content, **values}
    if not messages or messages[-1].role not in ("user", "tool"):
        raise BadInput(f"{where}: {_EXPECTED}; the last message before a reply must be the user's, or a tool's")
    return Prompt(tuple(chat.prompt(messages)), line)
