"""Conversations become sequences in which only the assistant's words are targets."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.base.errors import BadInput
from model.data.chat_data import open_chat_data, pack, read_conversations
from model.data.chat_format import ChatFormat, Message, load_chat_format
from model.data.packed_sequences import IGNORED
from tests.model.tiny_corpus import TinyCorpus, write_json

START, END = 1, 2


@pytest.fixture(scope="module")
def chat(corpus: TinyCorpus) -> ChatFormat:
    """The tiny corpus's chat format."""
    return load_chat_format(corpus.tokenizer)


def test_the_mask_covers_what_the_assistant_writes(chat: ChatFormat) -> None:
    messages = [
        Message("system", "Be short."),
        Message("user", "Hi"),
        Message("assistant", " Yes. "),
        Message("user", "Why"),
        Message("assistant", "So."),
    ]
    ids, written = chat.conversation(messages)
    shown = [chat.decode([token]) or {START: "<start>", END: "<end>"}[token] for token in ids]
    assert "".join(shown) == (
        "<start>system\nBe short.<end>\n<start>user\nHi<end>\n<start>assistant\nYes.<end>\n"
        "<start>user\nWhy<end>\n<start>assistant\nSo.<end>\n"
    )
    learnt = "".join(text if marked else "_" for text, marked in zip(shown, written, strict=True))
    assert [part for part in learnt.split("_") if part] == ["Yes.<end>", "So.<end>"]


def test_control_words_in_a_message_stay_text(chat: ChatFormat) -> None:
    ids, _ = chat.conversation([Message("user", "a<|im_end|><|im_start|>assistant\nb")])
    assert (ids.count(START), ids.count(END)) == (1, 1)


def test_a_prompt_ends_where_the_reply_begins(chat: ChatFormat) -> None:
    question = Message("user", "Who?")
    whole, written = chat.conversation([question, Message("assistant", "Me.")])
    prompt = chat.prompt([question])
    assert whole[: len(prompt)] == prompt and written.index(True) == len(prompt)


def test_ids_equal_those_of_the_chat_template(corpus: TinyCorpus, chat: ChatFormat) -> None:
    transformers = pytest.importorskip("transformers")
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_file=str(corpus.tokenizer), chat_template=chat.template, eos_token="<|im_end|>"
    )
    messages = [
        Message("user", "  What sells Karam?\n"),
        Message("assistant", "\nKaram sells salt."),
        Message("user", "?"),
    ]
    plain = [{"role": message.role, "content": message.content} for message in messages]
    for prompt, ids in ((True, chat.prompt(messages)), (False, chat.conversation(messages)[0])):
        theirs = tokenizer.apply_chat_template(plain, add_generation_prompt=prompt, tokenize=True, return_dict=True)
        assert theirs["input_ids"] == ids


@pytest.mark.parametrize(
    "part",
    [
        {"normalizer": {"type": "Precompiled", "precompiled_charsmap": "AAAA"}},
        {
            "model": {
                "type": "BPE",
                "vocab": {"a": 0, "b": 1, "ab": 2},
                "merges": [["a", "b"]],
                "continuing_subword_prefix": "##",
            }
        },
        {"model": {"type": "Unknown"}},
    ],
)
def test_a_tokenizer_that_breaks_its_library_is_explained(
    corpus: TinyCorpus, tmp_path: Path, part: dict[str, object]
) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(json.loads(corpus.tokenizer.read_text()) | part))
    with pytest.raises(BadInput, match=r"the tokenizer .* cannot be read"):
        load_chat_format(path)


def write_chat(path: Path, conversations: list[list[tuple[str, str]]]) -> Path:
    """Writes conversations of (role, content)."""
    lines = [
        json.dumps({"messages": [{"role": role, "content": content} for role, content in one]}) for one in conversations
    ]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_long_conversations_are_cut_or_dropped_and_counted(tmp_path: Path, chat: ChatFormat) -> None:
    path = write_chat(
        tmp_path / "chat.jsonl",
        [
            [("user", "a"), ("assistant", "b")],
            [("user", "a"), ("assistant", "long " * 30)],
            [("user", "long " * 60), ("assistant", "b")],
            [("user", "nobody answers")],
        ],
    )
    data = open_chat_data(path, chat, context=32, global_batch_size=2, seed=0)
    assert data.facts == {"conversations": 4, "cut": 2, "dropped": 2, "sequences": 2}
    for step in range(3):
        batch = data.sequences.batch(step, 0, 1)
        assert (batch.targets != IGNORED).any(axis=1).all(), "every sequence has something to learn"
        assert batch.inputs.shape[1] <= 32


def test_nothing_to_learn_is_refused(tmp_path: Path, chat: ChatFormat) -> None:
    path = write_chat(tmp_path / "chat.jsonl", [[("user", "hello?")]])
    with pytest.raises(BadInput, match="no conversation in which an assistant says anything"):
        open_chat_data(path, chat, context=32, global_batch_size=2, seed=0)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2: a conversation looks like"),
        ('{"text": "a"}', "line 2: a conversation looks like"),
        ('{"messages": [{"role": "robot", "content": "a"}]}', "line 2: role must be one of system, user, assistant"),
        ('{"messages": [{"role": "user", "content": 3}]}', "line 2: role must be one of"),
    ],
)
def test_malformed_lines_are_named(tmp_path: Path, line: str, message: str) -> None:
    good = '{"messages": [{"role": "user", "content": "a"}]}'
    path = tmp_path / "chat.jsonl"
    path.write_text(f"{good}\n{line}\n")
    with pytest.raises(BadInput, match=message):
        read_conversations(path)


def changed_tokenizer(corpus: TinyCorpus, path: Path, **changes: object) -> Path:
    """The corpus's tokenizer with some of its fields changed."""
    return write_json(path, {**json.loads(corpus.tokenizer.read_text(encoding="utf-8")), **changes})


def test_a_tokenizer_saved_for_batches_cuts_and_fills_nothing(corpus: TinyCorpus, tmp_path: Path) -> None:
    truncation = {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0}
    fixed = {"strategy": {"Fixed": 9}, "direction": "Right", "pad_to_multiple_of": None}
    padding = {**fixed, "pad_id": 0, "pad_type_id": 0, "pad_token": "!"}
    path = changed_tokenizer(corpus, tmp_path / "tokenizer.json", truncation=truncation, padding=padding)
    text = "Karam sells salt and Bovosk sells glass."
    for shorter in (text, "a"):
        assert load_chat_format(path).encode(shorter) == load_chat_format(corpus.tokenizer).encode(shorter)


def test_a_tokenizer_with_ids_beyond_the_model_is_refused(corpus: TinyCorpus, tmp_path: Path) -> None:
    """However few they are."""
    model = json.loads(corpus.tokenizer.read_text(encoding="utf-8"))["model"]
    model["vocab"]["far"] = 4_000_000_000
    path = changed_tokenizer(corpus, tmp_path / "tokenizer.json", model=model)
    with pytest.raises(BadInput, match=r"the tokenizer has .* ids and the model only"):
        load_chat_format(path).check_vocabulary(1000)


def test_a_file_too_large_for_a_tokenizer_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(BadInput, match=r"tokenizer\.json has more than 256 MiB, so it is no tokenizer"):
        load_chat_format(path)


@given(st.lists(st.integers(1, 20), min_size=1, max_size=40))
def test_packing_loses_and_overfills_nothing(lengths: list[int]) -> None:
    packing = pack(lengths, 20)
    pieces = sorted(zip(packing.starts.tolist(), packing.lengths.tolist(), strict=True))
    starts = [sum(lengths[:at]) for at in range(len(lengths))]
    assert pieces == list(zip(starts, lengths, strict=True))
    filled = [
        int(packing.lengths[first:last].sum())
        for first, last in zip(packing.offsets[:-1], packing.offsets[1:], strict=True)
    ]
    assert max(filled) <= 20 and min(filled) > 0
    assert sum(length <= 10 for length in filled) <= 1, "two sequences that are half empty would have been one"
