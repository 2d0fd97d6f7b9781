"""Which prompts are trained on, held out and left out."""

from pathlib import Path
from typing import Any

import pytest

from model.base.errors import BadInput
from model.base.json_lines import json_lines
from model.data.chat_format import load_chat_format
from model.reinforcement.prompts import Prompts, open_prompts
from tests.model.tiny_corpus import TinyCorpus


def opened(corpus: TinyCorpus, tmp_path: Path, lines: list[Any], longest: int = 24, held_out: int = 0) -> Prompts:
    """The prompts of a file with these lines."""
    path = tmp_path / "prompts.jsonl"
    path.write_text(json_lines(lines), encoding="utf-8")
    return open_prompts(path, load_chat_format(corpus.tokenizer), longest, held_out, seed=3)


def test_a_prompt_is_a_text_a_question_or_a_conversation(corpus: TinyCorpus, tmp_path: Path) -> None:
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "a"}]
    found = opened(corpus, tmp_path, [{"prompt": "a", "answer": 7}, {"question": "a"}, {"messages": messages}], 60)
    chat = load_chat_format(corpus.tokenizer)
    assert [chat.decode(prompt.ids) for prompt in found.trained[:2]] == ["user\na\nassistant\n"] * 2
    assert "Be brief." in chat.decode(found.trained[2].ids)
    assert found.trained[0].line == {"prompt": "a", "answer": 7}


def test_the_last_message_of_a_whole_conversation_is_its_answer(corpus: TinyCorpus, tmp_path: Path) -> None:
    asked = {"role": "user", "content": "a"}
    whole = {"messages": [asked, {"role": "assistant", "content": "b"}]}
    found = opened(corpus, tmp_path, [whole, whole | {"answer": "c"}, {"messages": [asked]}])
    assert len({prompt.ids for prompt in found.trained}) == 1
    assert [prompt.line.get("answer") for prompt in found.trained] == ["b", "c", None]


def test_repeated_and_long_prompts_are_counted_and_held_out_ones_are_not_trained_on(
    corpus: TinyCorpus, tmp_path: Path
) -> None:
    lines = [{"prompt": f"{letter}"} for letter in "abcdefab"] + [{"prompt": "Karam sells salt. " * 20}]
    found = opened(corpus, tmp_path, lines, held_out=3)
    assert found.facts == {"prompts": len(found.trained), "repeated": 2, "too_long": 1, "held_out": 3}
    trained, held_out = ({prompt.ids for prompt in part} for part in (found.trained, found.held_out))
    assert len(held_out) == 3 and len(trained) == 3 and not trained & held_out
    assert opened(corpus, tmp_path, lines, held_out=3).digest == found.digest
    assert opened(corpus, tmp_path, lines, held_out=2).digest != found.digest


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("text", "line 1: a prompt looks like"),
        ({"prompt": 7}, "line 1"),
        ({"answer": "x"}, "line 1"),
        ({"messages": []}, "line 1"),
        ({"messages": [{"role": "assistant", "content": "b"}]}, "must be the user's"),
        ({"messages": [{"role": "boss", "content": "a"}]}, "role must be one of"),
    ],
)
def test_a_malformed_prompt_is_refused_with_its_line(
    corpus: TinyCorpus, tmp_path: Path, line: Any, message: str
) -> None:
    with pytest.raises(BadInput, match=message):
        opened(corpus, tmp_path, [line])


def test_there_must_be_prompts_to_train_on(corpus: TinyCorpus, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="holds no prompt of at most 3 tokens, which is what max_new_tokens leaves"):
        opened(corpus, tmp_path, [{"prompt": "a"}], longest=3)
    with pytest.raises(BadInput, match=r"held_out_prompts is 2, and .* has 2 different prompts that fit"):
        opened(corpus, tmp_path, [{"prompt": "a"}, {"prompt": "b"}, {"prompt": "b"}], held_out=2)
