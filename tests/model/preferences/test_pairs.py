"""Pairs of replies become rows of two texts in which only the replies are targets."""

import json
from pathlib import Path
from typing import Any

import pytest

from model.base.errors import BadInput
from model.data.chat_format import ChatFormat, load_chat_format
from model.data.packed_sequences import IGNORED
from model.preferences.pairs import PairBatches, open_pairs, pair_rows
from tests.model.tiny_corpus import TinyCorpus

CONTEXT = 64


@pytest.fixture(scope="module")
def chat(corpus: TinyCorpus) -> ChatFormat:
    """The tiny corpus's chat format."""
    return load_chat_format(corpus.tokenizer)


def write_pairs(path: Path, *pairs: Any) -> Path:
    """Writes a file of pairs."""
    path.write_text("".join(json.dumps(pair) + "\n" for pair in pairs), encoding="utf-8")
    return path


def pair(prompt: str, chosen: str, rejected: str) -> dict[str, str]:
    """A line of a file of pairs."""
    return {"prompt": prompt, "chosen": chosen, "rejected": rejected}


def test_only_the_replies_and_the_ends_of_their_turns_are_targets(tmp_path: Path, chat: ChatFormat) -> None:
    path = write_pairs(tmp_path / "pairs.jsonl", pair("Who?", "Me.", "You, I think."), pair("Hm", "", "So."))
    data = open_pairs(path, chat, CONTEXT, 0.0)
    inputs, targets = pair_rows(data.trained, CONTEXT)
    assert inputs.shape == targets.shape and inputs.shape[:2] == (2, 2)
    learnt = [[chat.decode(row[row != IGNORED].tolist()) for row in rows] for rows in targets]
    assert learnt == [["Me.", "You, I think."], ["", "So."]]
    assert all(row[row != IGNORED][-1] == chat.end_of_turn for rows in targets for row in rows), "an empty one too"
    shown = [token for token in inputs[0, 0].tolist() if token != chat.end_of_text]
    assert shown == [*data.trained[0].prompt, *data.trained[0].chosen[:-1]]


def test_every_form_of_a_pair_is_the_same_pair(tmp_path: Path, chat: ChatFormat) -> None:
    question = {"role": "user", "content": "Who?"}
    replies = {name: {"role": "assistant", "content": text} for name, text in (("chosen", "Me."), ("rejected", "You."))}
    forms = [
        pair("Who?", "Me.", "You."),
        {"prompt": [question], **{name: [reply] for name, reply in replies.items()}},
        {name: [question, reply] for name, reply in replies.items()},
        {name: [question, reply | {"weight": 0}] for name, reply in replies.items()},
    ]
    found = [open_pairs(write_pairs(tmp_path / "pairs.jsonl", form), chat, CONTEXT, 0.0).trained for form in forms]
    assert found[0] == found[1] == found[2] == found[3]


def test_what_cannot_be_learnt_from_is_dropped_and_counted(tmp_path: Path, chat: ChatFormat) -> None:
    good = pair("Who?", "Me.", "You.")
    odd = [pair("Who?", "Me.", "Me."), pair("Who?", "Me.", "long " * 40), pair("long " * 40, "a", "b")]
    data = open_pairs(write_pairs(tmp_path / "pairs.jsonl", good, good, *odd), chat, CONTEXT, 0.0)
    assert data.facts == {"pairs": 5, "held_out": 0, "duplicates": 1, "equal_replies": 1, "too_long": 2}
    assert len(data.trained) == 1
    with pytest.raises(BadInput, match=r"holds no pair .* \(pairs: 3, held out: 0, .* equal replies: 1, too long: 2\)"):
        open_pairs(write_pairs(tmp_path / "odd.jsonl", *odd), chat, CONTEXT, 0.0)


def test_pairs_of_one_prompt_are_held_out_together(tmp_path: Path, chat: ChatFormat) -> None:
    pairs = [pair(f"Who {number}?", "Me.", other) for number in range(40) for other in ("You.", "They.")]
    data = open_pairs(write_pairs(tmp_path / "pairs.jsonl", *pairs), chat, CONTEXT, 0.3)
    trained, held_out = ({one.prompt for one in some} for some in (data.trained, data.held_out))
    assert not trained & held_out and len(held_out) > 4
    assert data.facts["held_out"] == len(data.held_out) == 2 * len(held_out)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({"prompt": "Who?", "chosen": "Me."}, "line 1: a pair looks like"),
        ({"chosen": "Me.", "rejected": "You."}, "line 1: a reply must be a text, or end with a message"),
        ({"prompt": "a", "chosen": [{"role": "user", "content": "b"}], "rejected": "c"}, "line 1: a reply must be"),
        ({"prompt": [{"role": "robot", "content": "a"}], "chosen": "b", "rejected": "c"}, "line 1: role must be one"),
        ({"prompt": "a", "chosen": 3, "rejected": "c"}, "line 1: a pair looks like"),
        ({"prompt": {"a": 1}, "chosen": "b", "rejected": "c"}, "line 1: a pair looks like"),
        ([1], "line 1: a pair looks like"),
    ],
)
def test_malformed_lines_are_named(tmp_path: Path, chat: ChatFormat, line: Any, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        open_pairs(write_pairs(tmp_path / "pairs.jsonl", line), chat, CONTEXT, 0.0)


def test_shares_make_up_the_step_whatever_their_number(tmp_path: Path, chat: ChatFormat) -> None:
    path = write_pairs(tmp_path / "pairs.jsonl", *(pair(f"Who {number}?", "Me.", "You.") for number in range(5)))
    pairs = open_pairs(path, chat, CONTEXT, 0.0).trained
    reference = pair_rows(pairs, CONTEXT)[0][:, :, 3].astype("float32")  # told apart by a token of the prompt
    batches = PairBatches(pairs, [reference], CONTEXT, 4, 0)
    whole = batches.batch(3, 0, 1)
    halves = [batches.batch(3, rank, 3) for rank in range(3)]
    assert [row for half in halves for row in half.columns[0].tolist()] == whole.columns[0].tolist()
    assert {half.targets_in_step for half in halves} == {whole.targets_in_step} == {4}
