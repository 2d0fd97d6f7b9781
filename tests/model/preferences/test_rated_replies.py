"""Rated replies become rows with a reply to another prompt beside each, and weigh the same, good and bad."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model.base.errors import BadInput
from model.data.chat_format import ChatFormat, load_chat_format
from model.preferences.pairs import pair_rows
from model.preferences.rated_replies import RatedReply, balanced_weights, open_rated_replies
from tests.model.preferences.test_pairs import CONTEXT, pair, write_pairs
from tests.model.tiny_corpus import TinyCorpus


@pytest.fixture(scope="module")
def chat(corpus: TinyCorpus) -> ChatFormat:
    """The tiny corpus's chat format."""
    return load_chat_format(corpus.tokenizer)


def rated(prompt: str, completion: str, label: bool) -> dict[str, Any]:
    """A line of a file of rated replies."""
    return {"prompt": prompt, "completion": completion, "label": label}


def texts(chat: ChatFormat, replies: Sequence[RatedReply]) -> list[tuple[str, str, bool]]:
    """What each says, what the reply beside it says, and its rating."""
    return [(chat.decode(one.reply), chat.decode(one.unrelated), one.is_good) for one in replies]


def test_a_reply_stands_beside_one_to_another_prompt(tmp_path: Path, chat: ChatFormat) -> None:
    lines = [rated("Who?", "Me.", True), rated("Who?", "You.", False), rated("Where?", "Here.", True)]
    found = open_rated_replies(write_pairs(tmp_path / "rated.jsonl", *lines), chat, CONTEXT, 0.0).trained
    assert texts(chat, found) == [("Me.", "Here.", True), ("You.", "Here.", False), ("Here.", "Me.", True)]
    assert pair_rows(found, CONTEXT)[0].shape[:2] == (3, 2)


def test_a_pair_is_two_rated_replies(tmp_path: Path, chat: ChatFormat) -> None:
    lines = [pair("Who?", "Me.", "You."), pair("Where?", "Here.", "There.")]
    data = open_rated_replies(write_pairs(tmp_path / "pairs.jsonl", *lines), chat, CONTEXT, 0.0)
    assert [(chat.decode(one.reply), one.is_good) for one in data.trained] == [
        *(("Me.", True), ("You.", False)),
        *(("Here.", True), ("There.", False)),
    ]


def test_what_cannot_be_learnt_from_is_dropped_and_counted(tmp_path: Path, chat: ChatFormat) -> None:
    good = rated("Who?", "Me.", True)
    lines = [good, good, good | {"label": False}, rated("Hm", "", True), rated("Who?", "long " * 40, True)]
    data = open_rated_replies(write_pairs(tmp_path / "rated.jsonl", *lines), chat, CONTEXT, 0.0)
    assert data.facts == {"replies": 5, "good": 2, "held_out": 0, "duplicates": 1, "too_long": 1}
    assert len(data.trained) == 3, "one that people disagree on is there with both ratings, and an empty one is kept"


def test_an_unrelated_reply_is_cut_where_the_context_ends(tmp_path: Path, chat: ChatFormat) -> None:
    lines = [rated("word " * 7, "Me.", True), rated("a", "other " * 6, False)]
    found = open_rated_replies(write_pairs(tmp_path / "rated.jsonl", *lines), chat, CONTEXT, 0.0).trained
    assert len(found[0].prompt) + len(found[0].unrelated) == CONTEXT + 1
    assert len(found[0].unrelated) < len(found[1].reply)
    assert pair_rows(found, CONTEXT)[0].shape == (2, 2, CONTEXT)


def test_replies_to_one_prompt_are_held_out_together(tmp_path: Path, chat: ChatFormat) -> None:
    lines = [rated(f"Who {number}?", reply, True) for number in range(40) for reply in ("Me.", "You.")]
    data = open_rated_replies(write_pairs(tmp_path / "rated.jsonl", *lines), chat, CONTEXT, 0.3)
    trained, held_out = ({one.prompt for one in some} for some in (data.trained, data.held_out))
    assert not trained & held_out and data.facts["held_out"] == 2 * len(held_out) > 8


def test_good_and_bad_replies_weigh_the_same_whatever_their_numbers() -> None:
    replies = [RatedReply((1,), (number,), (2,), number < 2) for number in range(8)]
    weights = balanced_weights(replies)
    assert weights[:2].sum() == pytest.approx(-weights[2:].sum())
    assert np.abs(weights).mean() == pytest.approx(1)
    assert (weights > 0).tolist() == [one.is_good for one in replies]
    assert balanced_weights([]).shape == (0,)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (rated("Who?", "Me.", True) | {"label": 1}, "line 1: a rated reply looks like"),
        ({"prompt": "Who?", "completion": "Me."}, "line 1: a rated reply looks like"),
        ({"prompt": "Who?", "label": True}, "line 1: a rated reply looks like"),
        ({"prompt": "Who?", "completion": 3, "label": True}, "line 1: a rated reply looks like"),
        ([1], "line 1: a rated reply looks like"),
        (rated("Who?", "Me.", True), "rates replies to one prompt only"),
        (rated("Who?", "long " * 40, True), r"holds no rated reply .* \(replies: 1, good: 0, .* too long: 1\)"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(tmp_path: Path, chat: ChatFormat, line: Any, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        open_rated_replies(write_pairs(tmp_path / "rated.jsonl", line), chat, CONTEXT, 0.0)
