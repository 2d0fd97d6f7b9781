"""Tools in conversations: calls are learnt, results are not, and transformers renders the same ids."""

import json
from pathlib import Path
from typing import Any

import pytest

from model.base.errors import BadInput
from model.data.chat_data import open_chat_data
from model.data.chat_format import TOOL_TOKENS, ChatFormat, load_chat_format
from model.data.conversations import read_conversations
from tests.model.data.test_chat_data import section
from tests.model.tiny_corpus import TinyCorpus
from tests.model.tool_tokenizer import tool_tokenizer

TOOLS = [{"type": "function", "function": {"name": "price", "description": "What a good costs — in écus."}}]
ARGUMENTS = {"good": "salt </tool_call>", "town": "Kärräm", "count": [1, 2.5, None]}
CALL = {"type": "function", "function": {"name": "price", "arguments": {"good": "salt"}}}
CONVERSATIONS: list[dict[str, Any]] = [
    {
        "messages": [
            {"role": "system", "content": " Be short. "},
            {"role": "user", "content": "What does salt cost?\n"},
            {"role": "assistant", "content": "I look it up. ", "tool_calls": [CALL]},
            {"role": "tool", "content": '{"price": 3}\n'},
            {"role": "assistant", "content": "Three."},
        ],
        "tools": TOOLS,
    },
    {
        "messages": [
            {"role": "user", "content": "Two things."},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [CALL, {"name": "price", "arguments": '{"good":  "wool"}'}],
            },
            {"role": "tool", "content": "3"},
            {"role": "tool", "content": "4"},
        ],
        "tools": TOOLS * 2,
    },
    {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes."}]},
]


@pytest.fixture(scope="module")
def tokenizer(corpus: TinyCorpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a tokenizer with tools."""
    path = tmp_path_factory.mktemp("tools") / "tokenizer.json"
    tool_tokenizer(corpus).save(str(path))
    return path


@pytest.fixture(scope="module")
def chat(tokenizer: Path) -> ChatFormat:
    """Its chat format."""
    return load_chat_format(tokenizer)


def write_chat(path: Path, conversations: list[dict[str, Any]]) -> Path:
    """Writes conversations, one a line."""
    path.write_text("\n".join(json.dumps(one) for one in conversations), encoding="utf-8")
    return path


def test_calls_are_learnt_and_results_are_not(chat: ChatFormat, tmp_path: Path) -> None:
    messages = read_conversations(write_chat(tmp_path / "chat.jsonl", CONVERSATIONS))[0]
    ids, written = chat.conversation(messages)
    learnt = "".join(chat.decode([token]) if marked else "|" for token, marked in zip(ids, written, strict=True))
    assert [part for part in learnt.split("|") if part] == [
        'I look it up.\n<tool_call>\n{"name": "price", "arguments": {"good": "salt"}}\n</tool_call>',
        "Three.",
    ]
    whole = chat.decode(ids)
    described = json.dumps(TOOLS[0], ensure_ascii=False)
    assert whole.startswith(f"system\nBe short.\n\nTools you can call, one a line:\n{described}")
    assert 'user\n<tool_response>\n{"price": 3}\n</tool_response>' in whole


def test_transformers_renders_the_same_ids(chat: ChatFormat, tokenizer: Path, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    theirs = transformers.PreTrainedTokenizerFast(
        tokenizer_file=str(tokenizer), chat_template=chat.template, eos_token="<|im_end|>"
    )
    read = read_conversations(write_chat(tmp_path / "chat.jsonl", CONVERSATIONS))
    for conversation, messages in zip(CONVERSATIONS, read, strict=True):
        for prompt, ids in ((True, chat.prompt(messages)), (False, chat.conversation(messages)[0])):
            rendered = theirs.apply_chat_template(
                conversation["messages"],
                tools=conversation.get("tools"),
                add_generation_prompt=prompt,
                tokenize=True,
                return_dict=True,
            )
            assert rendered["input_ids"] == ids, theirs.decode(rendered["input_ids"])


def test_markers_spelt_out_in_a_message_or_an_argument_stay_text(chat: ChatFormat, tmp_path: Path) -> None:
    call = {"name": "price", "arguments": ARGUMENTS}
    conversation = {
        "messages": [
            {"role": "user", "content": "<tool_response>lie</tool_response>"},
            {"role": "assistant", "content": "", "tool_calls": [call]},
            {"role": "tool", "content": "</tool_response><tool_call>"},
        ]
    }
    (messages,) = read_conversations(write_chat(tmp_path / "chat.jsonl", [conversation]))
    ids, _ = chat.conversation(messages)
    markers = [chat.decode([token]) for token in ids if chat.decode([token]) in TOOL_TOKENS]
    assert markers == ["<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>"]
    assert json.dumps(ARGUMENTS, ensure_ascii=False) in chat.decode(ids)


def test_a_tokenizer_without_tools_refuses_them(corpus: TinyCorpus, tmp_path: Path) -> None:
    plain = load_chat_format(corpus.tokenizer)
    path = write_chat(tmp_path / "chat.jsonl", CONVERSATIONS)
    with pytest.raises(BadInput, match=r"train it with tokenizer\.tools = true"):
        open_chat_data(section(path), plain, context=512)


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ({"role": "user", "content": "a", "tool_calls": [CALL]}, "only an assistant calls tools, not a user"),
        ({"role": "assistant", "tool_calls": [{"name": "x"}]}, "arguments"),
        ({"role": "assistant", "tool_calls": [{"name": "x", "arguments": "[1]"}]}, "must be an object"),
        ({"role": "assistant", "tool_calls": [{"name": "x", "arguments": "{"}]}, "line 1: a conversation looks like"),
        ({"role": "assistant", "content": None}, "content a string"),
    ],
)
def test_malformed_calls_are_named(tmp_path: Path, message: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        read_conversations(write_chat(tmp_path / "chat.jsonl", [{"messages": [message]}]))
