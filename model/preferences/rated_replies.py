"""Replies that were rated one by one, thumbs up or down, as rows for KTO.

Notable: KTO measures how far the model has moved from the reference by replies that have nothing to do with the prompt
(arXiv:2402.01306, section 4.1), so a row is a pair too, (2, T): the prompt with its rated reply, then with that to
another prompt. Which one is fixed, so the reference scores both once.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xxhash

from model.base.errors import BadInput
from model.base.json_lines import read_json_lines
from model.data.chat_format import ChatFormat
from model.preferences.pairs import PreferenceData, is_held_out, read_replies, require_trained

_EXPECTED = (
    'a rated reply looks like {"prompt": "...", "completion": "...", "label": true}, and a pair, which is two of them, '
    'like {"prompt": "...", "chosen": "...", "rejected": "..."}'
)
_Said = tuple[tuple[int, ...], tuple[int, ...], bool]
"""A prompt, a reply, and whether that is good."""


@dataclass(frozen=True)
class RatedReply:
    """A reply to a prompt, and one to another prompt, as tokens."""

    prompt: tuple[int, ...]
    reply: tuple[int, ...]
    """Up to the end of its turn."""
    unrelated: tuple[int, ...]
    """The reply to another prompt, as far as the context goes."""
    is_good: bool

    @property
    def replies(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Its own, then the unrelated one."""
        return self.reply, self.unrelated


def open_rated_replies(
    path: Path, chat: ChatFormat, context: int, held_out_fraction: float
) -> PreferenceData[RatedReply]:
    """Read the rated replies of a JSONL file (model/preferences/config.py has the form of a line).

    Raises BadInput if a line is malformed, or no reply is left to train on, or all answer one prompt.
    """
    facts = dict.fromkeys(("replies", "good", "held_out", "duplicates", "too_long"), 0)
    kept: dict[tuple[int, ...], dict[_Said, None]] = {}
    for where, values in read_json_lines(path, "rated replies", _EXPECTED):
        for one in _rated(values, where, chat):
            prompt, reply, is_good = one
            facts["replies"] += 1
            of_prompt = kept.setdefault(prompt, {})
            if len(prompt) + len(reply) > context + 1 or one in of_prompt:
                facts["duplicates" if one in of_prompt else "too_long"] += 1
                continue
            of_prompt[one] = None
            facts["good"] += is_good
    found = list(_with_unrelated([list(group) for group in kept.values() if group], context))
    trained = [one for one in found if not is_held_out(one.prompt, held_out_fraction)]
    held_out = [one for one in found if is_held_out(one.prompt, held_out_fraction)]
    facts["held_out"] = len(held_out)
    require_trained(trained, "rated reply", path, context, facts)
    if len({one.prompt for one in found}) < 2:
        raise BadInput(f"{path} rates replies to one prompt only; KTO needs those to another to compare with")
    return PreferenceData(trained, held_out, xxhash.xxh3_128_hexdigest(repr(found)), facts)


def balanced_weights(rated: Sequence[RatedReply]) -> npt.NDArray[np.float32]:
    """Return a weight for each reply, below zero for bad ones: 1 on average, and as much for all good as for all bad.

    Which is what the paper recommends (arXiv:2402.01306, section 4.2), whatever the numbers of both.
    """
    is_good = np.array([one.is_good for one in rated], bool)
    of_a_good, of_a_bad = (len(rated) / max(1, 2 * int(kind.sum())) for kind in (is_good, ~is_good))
    return np.where(is_good, of_a_good, -of_a_bad).astype(np.float32)


def _with_unrelated(groups: list[list[_Said]], context: int) -> Iterator[RatedReply]:
    """Yield replies, grouped by prompt, each with one to the next prompt."""
    for group, following in zip(groups, groups[1:] + groups[:1], strict=True):
        for number, (prompt, reply, is_good) in enumerate(group):
            unrelated = following[number % len(following)][1][: context + 1 - len(prompt)]
            yield RatedReply(prompt, reply, unrelated, is_good)


def _rated(values: Any, where: str, chat: ChatFormat) -> Iterator[_Said]:
    labels: dict[str, bool] = {}
    if isinstance(values, dict) and {"chosen", "rejected"} <= values.keys():
        labels = {"chosen": True, "rejected": False}
    elif isinstance(values, dict) and "completion" in values and isinstance(values.get("label"), bool):
        labels = {"completion": values["label"]}
    if not labels:
        raise BadInput(f"{where}: {_EXPECTED}")
    prompt, replies = read_replies(values, list(labels), where, chat, _EXPECTED)
    yield from ((prompt, reply, label) for reply, label in zip(replies, labels.values(), strict=True))
